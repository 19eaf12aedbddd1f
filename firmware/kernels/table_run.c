/* Bytes through a table: see dft_runs.h. Twin: m7/table_run.S. */
#include "dft_runs.h"

void dft_table_run(const int8_t *table, const int8_t *in, int8_t *out, uint32_t n)
{
    for (; n > 0; n--) {
        *out++ = table[*in++ + 128];
    }
}
