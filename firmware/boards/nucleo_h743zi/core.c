/* Memory protection, caches and cycle counter. Nothing here is a bus master but the core: no DMA, so caches need no care
 * once they are on, and no region has to be kept out of them.
 * Sources: Armv7-M ARM (MPU, cache maintenance), Cortex-M7 TRM (cache geometry), second-hand: see registers.h. */
#include "core.h"

#include "dft_board_config.h"
#include "mpu.h"
#include "registers.h"

#define DCACHE_SETS 128u /* 16 KB in 4 ways of 32-byte lines */
#define DCACHE_WAYS 4u
#define PROOF_POLLS 1000u

_Static_assert(DFT_FLASH_BYTES == 1u << 21 && DFT_ITCM_BYTES == 1u << 16, "sizes of MPU regions");

static void barrier(void) { __asm volatile("dsb\n isb" ::: "memory"); }

void core_protect(const void *stack_low) {
    mpu_off();
    /* External memory at 0x60000000-0xDFFFFFFF (subregions 3 to 6): there is none, and the core may not guess. */
    mpu_region(0, 0, MPU_SIZE(32) | MPU_SUBREGIONS_OFF(0x87u) | MPU_NO_ACCESS | MPU_NO_EXECUTE);
    mpu_region(1, DFT_ITCM_ORIGIN, MPU_SIZE(16) | MPU_READ_ONLY); /* inner loops, copied there by dft_reset */
    mpu_region(2, DFT_FLASH_ORIGIN, MPU_SIZE(21) | MPU_READ_ONLY | MPU_WRITE_THROUGH);
    mpu_region(3, 0x20000000u, MPU_SIZE(29) | MPU_READ_WRITE | MPU_NO_EXECUTE | MPU_WRITE_BACK);
    mpu_guard_below(4, stack_low);
    mpu_region(5, DFT_ITCM_ORIGIN, MPU_SIZE(8) | MPU_NO_ACCESS | MPU_NO_EXECUTE); /* null pointers */
    mpu_on();
}

uint32_t core_protected_regions(void) { return mpu_regions_on(); }

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
