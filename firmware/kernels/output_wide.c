/* Requantisation without headroom: what a channel with a huge bias or a multiplier above one needs. Convolutions
 * and matrix products call it where the generator says so (DFT_WIDE); exact for every accumulator of 32 bits. */
#include "dft_requant.h"

int32_t dft_output_wide(const dft_channel *c, int32_t acc)
{
    int32_t x = (int32_t)((uint32_t)acc << (c->left1 - 1u));
    int64_t high = ((int64_t)x * c->mult + (1 << 30)) >> 31;
    int64_t half = (INT64_C(1) << c->right) >> 1;
    int64_t v = ((high + half - (high < 0 && half > 0)) >> c->right) + c->round;
    v = v < INT8_MIN ? INT8_MIN : v;
    return (int32_t)(v > INT8_MAX ? INT8_MAX : v);
}
