/* CONV_2D over a whole map in one event, for maps so narrow that tiles of one row would be half empty. Called by the row
 * engine; parameters and kernel stand with those of single rows. */
#ifndef DFT_CONV_MAP_ROWS_H
#define DFT_CONV_MAP_ROWS_H

#include "dft_conv_rows.h"

#endif
