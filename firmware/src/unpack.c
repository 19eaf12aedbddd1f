/* See unpack.h. Believes neither the lengths nor the codes: every bit is counted, every neighbour is looked for first. */
#include "dft/unpack.h"

#include "dft/bytes.h"

#define PARAMETER_BITS 3u
#define PARAMETER_RAW 7u /* this block's residuals stand as they are, eight bits each */
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
    while (!b->short_of && take(b, 1) == 1u) {
        if (++ones >= RESIDUALS) {
            b->short_of = true;
        }
    }
    return ones;
}

static uint32_t take_residual(bits *b, uint32_t parameter) {
    if (parameter == PARAMETER_RAW) {
        return take(b, 8);
    }
    const uint32_t high = take_ones(b) << parameter;
    const uint32_t folded = parameter == 0 ? high : high | take(b, parameter);
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
    uint32_t parameter = 0, before = 0;
    for (uint32_t i = 0; i < raw_bytes; i++) {
        const uint32_t at = offset + i;
        if (i % DFT_PACK_BLOCK == 0) {
            parameter = take(b, PARAMETER_BITS);
        }
        /* Channels of a pixel err alike: a residual is what is left of the previous channel's. */
        const uint32_t first = at % pixel == 0 ? 0u : before;
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
