/* The record in memory that no start-up code clears. Fault status bits: Armv7-M ARM, B3.2.15 and B3.2.16 (second-hand,
 * see registers.h). */
#include "record.h"

#include <stddef.h>

#include "dft_protocol.h"
#include "registers.h"

#define RECORD_MAGIC 0xDF7FA018u /* another one whenever the record's fields change */
#define FAULTED_MAGIC 0xDEADFA17u

#define CFSR_MEMORY 0x000000FFu
#define CFSR_BUS 0x0000FF00u
#define CFSR_STACKING ((1u << 4) | (1u << 12)) /* a frame could not be pushed, for either reason */

/* After power-on it holds anything, so the magic decides. `faulted` is set by the fault handler and taken by the next
 * boot; the rest stays until power goes. Whole words only: this RAM's ECC is by word, and a smaller write may wait in it
 * until after the reset (ST's FAQ on SRAM contents after a reset). Whether it lets unwritten words be read without
 * complaint is unverified. */
typedef struct boot_record {
    uint32_t magic;
    uint32_t boots;
    uint32_t faulted;
    dft_fault fault; /* kind DFT_FAULT_NONE: none since power-on */
} boot_record;

__attribute__((section(".noinit"))) static boot_record record;

static uint32_t cause;

static uint32_t decode_cause(uint32_t rsr, bool faulted) {
    if ((rsr & RCC_RSR_PORRSTF) != 0u) {
        return DFT_RESET_POWER_ON;
    }
    if ((rsr & RCC_RSR_BORRSTF) != 0u) { /* alone: power-on sets both (RM0433, second-hand) */
        return DFT_RESET_BROWN_OUT;
    }
    if ((rsr & RCC_RSR_SFTRSTF) != 0u) {
        return faulted ? DFT_RESET_FAULT : DFT_RESET_SOFTWARE;
    }
    if ((rsr & (RCC_RSR_IWDG1RSTF | RCC_RSR_WWDG1RSTF)) != 0u) {
        return DFT_RESET_WATCHDOG;
    }
    return (rsr & RCC_RSR_PINRSTF) != 0u ? DFT_RESET_PIN : DFT_RESET_UNKNOWN;
}

void record_boot(void) {
    if (record.magic != RECORD_MAGIC) {
        /* What the RAM woke up with makes the first boot_id differ from the last power cycle's. */
        record.boots ^= record.magic;
        record.magic = RECORD_MAGIC;
        record.faulted = 0;
        record.fault.kind = DFT_FAULT_NONE;
    }
    record.boots++;
    cause = decode_cause(RCC_RSR, record.faulted == FAULTED_MAGIC);
    RCC_RSR |= RCC_RSR_RMVF;
    record.faulted = 0;
}

uint32_t record_boot_id(void) { return record.boots; }

uint32_t record_reset_cause(void) { return cause; }

bool record_fault(dft_fault *found) {
    *found = record.fault;
    return record.fault.kind != DFT_FAULT_NONE;
}

static uint32_t kind_of(uint32_t cfsr, uint32_t hfsr, bool frame_lost) {
    if (frame_lost || (cfsr & CFSR_STACKING) != 0u) {
        return DFT_FAULT_STACK;
    }
    if ((cfsr & CFSR_MEMORY) != 0u) {
        return DFT_FAULT_MEMORY;
    }
    if ((cfsr & CFSR_BUS) != 0u) {
        return DFT_FAULT_BUS;
    }
    if (cfsr != 0u) {
        return DFT_FAULT_USAGE;
    }
    return hfsr != 0u ? DFT_FAULT_HARD : DFT_FAULT_UNEXPECTED;
}

void record_write(const cortex_m_frame *frame) {
    const uint32_t cfsr = SCB_CFSR;
    const uint32_t hfsr = SCB_HFSR;
    const bool lost = frame == NULL;
    record.fault = (dft_fault){
        .kind = kind_of(cfsr, hfsr, lost),
        .pc = lost ? 0u : frame->pc,
        .lr = lost ? 0u : frame->lr,
        .psr = lost ? 0u : frame->xpsr,
        .cfsr = cfsr,
        .hfsr = hfsr,
        .mmfar = SCB_MMFAR,
        .bfar = SCB_BFAR,
        .sp = lost ? 0u : (uint32_t)(uintptr_t)frame,
        .boot_id = record.magic == RECORD_MAGIC ? record.boots : 0u,
    };
    if (record.magic != RECORD_MAGIC) { /* before record_boot(): the next boot must not take it for rubbish */
        record.magic = RECORD_MAGIC;
        record.boots = 0;
    }
    record.faulted = FAULTED_MAGIC;
}
