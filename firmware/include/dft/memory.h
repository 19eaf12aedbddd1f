/* Memory lent to the engine and the app: defined in regions.c, which is generated from target, board and bundle. */
#ifndef DFT_MEMORY_H
#define DFT_MEMORY_H

#include <stdint.h>

#include "dft/engine.h"

extern const dft_region dft_regions[];
extern const uint32_t dft_regions_n;

/* Where the next input is received while the engine computes; null and 0 where the build found no room for it. */
extern int8_t *const dft_staging;
extern const uint32_t dft_staging_bytes;

/* One entry an operator of the bundle's model. */
extern uint32_t dft_op_ticks[];
extern const uint32_t dft_op_ticks_n;

#endif
