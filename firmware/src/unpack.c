/* See unpack.h. Believes neither the lengths nor the codes: every bit is counted, every neighbour is looked for first. */
#include "dft/unpack.h"

#include "dft/bytes.h"

#define PARAMETER_BITS 3u
#define PARAMETER_RAW 7u /* this block's residuals take eight bits each */
#define RESIDUALS 256u

/* Bits of `data`, the most significant of each byte first. `left` counts what has not been taken. */
typedef struct bits {
    const uint8_t *at;
    uint32_t unread; /* bytes behind `at` */
    uint32_t word;   /* the next bits, left-aligned */
    uint32_t have;   /* of them valid */
    bool short_of;   /* more was asked for than there is */
} bits;

static void fill(bits *b) {
    while (b->have <= 24u && b->unread > 0) {
        b->word |= (uint32_t)*b->at++ << (24u - b->have);
        b->have += 8u;
        b->unread--;
    }
}

/* The next n bits, 0 < n <= 8. */
static uint32_t take(bits *b, uint32_t n) {
    fill(b);
    if (b->have < n) {
        b->short_of = true;
        return 0;
    }
    const uint32_t value = b->word >> (32u - n);
    b->word <<= n;
    b->have -= n;
    return value;
}

/* Ones before the next zero; the zero is taken. At most RESIDUALS - 1 ones make a residual. */
static uint32_t take_ones(bits *b) {
    uint32_t ones = 0;
    for (;;) {
        fill(b);
        /* The bits behind the valid ones are zero: they end the count, and then it was one too few. */
        const uint32_t run = b->word == UINT32_MAX ? 32u : (uint32_t)__builtin_clz(~b->word);
        if (run < b->have) {
            b->word = b->word << run << 1; /* by 32 in one step is undefined */
            b->have -= run + 1u;
            return ones + run;
        }
        ones += b->have;
        b->word = 0;
        b->have = 0;
        if (b->unread == 0 || ones >= RESIDUALS) {
            b->short_of = true;
            return 0;
        }
    }
}

static uint32_t take_residual(bits *b, uint32_t parameter) {
    uint32_t folded = 0;
    if (parameter == PARAMETER_RAW) {
        folded = take(b, 8);
    } else {
        folded = take_ones(b) << parameter;
        folded |= parameter == 0 ? 0u : take(b, parameter);
    }
    b->short_of = b->short_of || folded >= RESIDUALS;
    /* 0, 1, 2, 3 … stand for 0, -1, 1, -2 … */
    return (folded >> 1) ^ (0u - (folded & 1u));
}

/* The median edge detector of LOCO-I (Weinberger, Seroussi and Sapiro, 2000): left, above, or their plane. */
static int32_t predict(const int8_t *image, uint32_t at, uint32_t row, uint32_t pixel) {
    if (at < pixel) {
        return 0;
    }
    const int32_t left = image[at - pixel];
    if (at < row + pixel) {
        return left;
    }
    const int32_t above = image[at - row], corner = image[at - row - pixel];
    const int32_t low = left < above ? left : above, high = left < above ? above : left;
    return corner >= high ? low : corner <= low ? high : left + above - corner;
}

static bool unpack_codes(int8_t *image, uint32_t offset, uint32_t raw_bytes, uint32_t row, uint32_t pixel, bits *b) {
    uint32_t parameter = 0, before = 0, channel = offset % pixel;
    for (uint32_t i = 0; i < raw_bytes; i++) {
        const uint32_t at = offset + i;
        if (i % DFT_PACK_BLOCK == 0) {
            parameter = take(b, PARAMETER_BITS);
        }
        /* Channels of a pixel err alike: a residual is what is left of the previous channel's. */
        const uint32_t first = channel == 0 ? 0u : before;
        channel = channel + 1u == pixel ? 0u : channel + 1u;
        before = (take_residual(b, parameter) + first) & 0xFFu;
        if (b->short_of) {
            return false;
        }
        image[at] = (int8_t)(uint8_t)((uint32_t)predict(image, at, row, pixel) + before);
    }
    /* Less than a byte may be left over. */
    return b->unread == 0 && b->have < 8u;
}

bool dft_unpack(int8_t *image, uint32_t offset, uint32_t raw_bytes, const uint8_t *data, uint32_t n) {
    if (n < DFT_PACK_HEADER_BYTES) {
        return false;
    }
    const uint32_t row = dft_get_u16(data), pixel = data[2];
    if (pixel == 0 || row < pixel) {
        return false;
    }
    bits b = {.at = data + DFT_PACK_HEADER_BYTES, .unread = n - DFT_PACK_HEADER_BYTES};
    return unpack_codes(image, offset, raw_bytes, row, pixel, &b);
}
