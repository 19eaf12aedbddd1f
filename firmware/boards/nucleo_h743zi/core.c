/* Memory protection, caches and cycle counter. There is no DMA, so caches need no care once they are on.
 * Sources: Armv7-M ARM (MPU, cache maintenance), Cortex-M7 TRM (cache geometry); unverified, see registers.h. */
#include "core.h"

#include "dft_board_config.h"
#include "registers.h"

#define DCACHE_SETS 128u /* 16 KB in 4 ways of 32-byte lines */
#define DCACHE_WAYS 4u
#define PROOF_POLLS 1000u

/* RASR fields. */
#define ENABLE 1u
#define SIZE(log2_bytes) (((log2_bytes) - 1u) << 1)
#define SUBREGIONS_OFF(mask) ((mask) << 8)
#define WRITE_THROUGH (1u << 17)
#define WRITE_BACK ((1u << 19) | (1u << 17) | (1u << 16))
#define NO_ACCESS (0u << 24)
#define READ_WRITE (3u << 24)
#define READ_ONLY (6u << 24)
#define NO_EXECUTE (1u << 28)

_Static_assert(DFT_FLASH_BYTES == 1u << 21 && DFT_ITCM_BYTES == 1u << 16, "sizes of MPU regions");
_Static_assert(CORE_STACK_GUARD_BYTES == 1u << 5, "the smallest MPU region");

static void barrier(void) { __asm volatile("dsb\n isb" ::: "memory"); }

static void protect(uint32_t number, uint32_t base, uint32_t attributes) {
    MPU_RNR = number;
    MPU_RBAR = base;
    MPU_RASR = attributes | ENABLE;
}

/* A later region wins over an earlier one; what none covers keeps the default map. */
void core_protect(const void *stack_low) {
    MPU_CTRL = 0;
    /* External memory at 0x60000000-0xDFFFFFFF (subregions 3 to 6): there is none, and the core may not guess. */
    protect(0, 0, SIZE(32) | SUBREGIONS_OFF(0x87u) | NO_ACCESS | NO_EXECUTE);
    protect(1, DFT_ITCM_ORIGIN, SIZE(16) | NO_ACCESS | NO_EXECUTE);
    protect(2, DFT_FLASH_ORIGIN, SIZE(21) | READ_ONLY | WRITE_THROUGH);
    protect(3, 0x20000000u, SIZE(29) | READ_WRITE | NO_EXECUTE | WRITE_BACK);
    protect(4, (uint32_t)(uintptr_t)stack_low, SIZE(5) | NO_ACCESS | NO_EXECUTE);
    MPU_CTRL = MPU_CTRL_ENABLE | MPU_CTRL_PRIVDEFENA;
    barrier();
}

void core_caches_on(void) {
    barrier();
    SCB_ICIALLU = 0;
    SCB_CSSELR = 0; /* level 1 data */
    barrier();
    for (uint32_t set = 0; set < DCACHE_SETS; set++) {
        for (uint32_t way = 0; way < DCACHE_WAYS; way++) {
            SCB_DCISW = way << 30 | set << 5;
        }
    }
    barrier();
    SCB_CCR |= SCB_CCR_IC | SCB_CCR_DC;
    barrier();
}

static uint32_t last_count;
static uint64_t cycles;

uint64_t core_cycles(void) {
    const uint32_t now = DWT_CYCCNT;
    cycles += now - last_count;
    last_count = now;
    return cycles;
}

/* Some emulators have the registers and no clock behind them; NOCYCCNT does not tell. Only movement does. */
bool core_cycles_start(void) {
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_KEY;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    const uint32_t start = DWT_CYCCNT;
    for (uint32_t polls = 0; polls < PROOF_POLLS; polls++) {
        if (DWT_CYCCNT != start) {
            last_count = DWT_CYCCNT;
            return true;
        }
    }
    return false;
}
