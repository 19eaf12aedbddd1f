/* Memory protection. Faults are taken as HardFault, where the unit is off (HFNMIENA is not set), so that the
 * handler can work whatever was protected. */
#include "mpu.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define MPU_TYPE REG(0xE000ED90u)
#define MPU_TYPE_REGIONS(type) ((type) >> 8 & 0xFFu)
#define MPU_CTRL REG(0xE000ED94u)
#define MPU_CTRL_ENABLE (1u << 0)
#define MPU_CTRL_PRIVDEFENA (1u << 2)
#define MPU_RNR REG(0xE000ED98u)
#define MPU_RBAR REG(0xE000ED9Cu)
#define MPU_RASR REG(0xE000EDA0u)
#define MPU_RASR_ENABLE 1u

#define GUARD_LOG2_BYTES 16u

void mpu_off(void) {
    MPU_CTRL = 0;
    for (uint32_t number = 0; number < MPU_TYPE_REGIONS(MPU_TYPE); number++) {
        MPU_RNR = number;
        MPU_RASR = 0;
    }
}

void mpu_region(uint32_t number, uint32_t base, uint32_t attributes) {
    MPU_RNR = number;
    MPU_RBAR = base;
    MPU_RASR = attributes | MPU_RASR_ENABLE;
}

void mpu_guard_below(uint32_t number, const void *stack_low) {
    const uint32_t base = (uint32_t)(uintptr_t)stack_low - (1u << GUARD_LOG2_BYTES);
    mpu_region(number, base, MPU_SIZE(GUARD_LOG2_BYTES) | MPU_NO_ACCESS | MPU_NO_EXECUTE);
}

void mpu_on(void) {
    MPU_CTRL = MPU_CTRL_ENABLE | MPU_CTRL_PRIVDEFENA;
    __asm volatile("dsb\n isb" ::: "memory");
}

uint32_t mpu_regions_on(void) {
    uint32_t n = 0;
    for (uint32_t number = 0; (MPU_CTRL & MPU_CTRL_ENABLE) != 0u && number < MPU_TYPE_REGIONS(MPU_TYPE); number++) {
        MPU_RNR = number;
        n += MPU_RASR & MPU_RASR_ENABLE;
    }
    return n;
}
