/* The memory protection unit of the Cortex-M7 (Armv7-M ARM, PMSAv7). Called by boards. */
#ifndef DFT_CORTEX_M_MPU_H
#define DFT_CORTEX_M_MPU_H

#include <stdint.h>

/* Attributes of a region, to be ORed (fields of MPU_RASR). */
#define MPU_SIZE(log2_bytes) (((log2_bytes) - 1u) << 1)
#define MPU_SUBREGIONS_OFF(mask) ((mask) << 8)
#define MPU_WRITE_THROUGH (1u << 17)
#define MPU_WRITE_BACK ((1u << 19) | (1u << 17) | (1u << 16))
#define MPU_NO_ACCESS (0u << 24)
#define MPU_READ_WRITE (3u << 24)
#define MPU_READ_ONLY (6u << 24)
#define MPU_NO_EXECUTE (1u << 28)

/* Regions are set between off and on. Off clears them all: Armv7-M does not define what they hold after a reset
 * (unverified), and a loader may have used them. A later number wins over an earlier one, and what none covers
 * keeps the default map. `base` must be a multiple of the size. */
void mpu_off(void);
void mpu_region(uint32_t number, uint32_t base, uint32_t attributes);
/* 64 KB without access below the stack: a stack that grows too far faults at once, even by a large frame. */
void mpu_guard_below(uint32_t number, const void *stack_low);
void mpu_on(void);

/* Regions in force, 0 while the unit is off. */
uint32_t mpu_regions_on(void);

#endif
