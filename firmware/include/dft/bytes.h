/* Little-endian integers in byte buffers, at any alignment: the wire's, whatever the processor's is. */
#ifndef DFT_BYTES_H
#define DFT_BYTES_H

#include <stdint.h>

static inline uint32_t dft_get_u16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }

static inline uint32_t dft_get_u32(const uint8_t *at) { return dft_get_u16(at) | dft_get_u16(at + 2) << 16; }

static inline void dft_put_u16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void dft_put_u32(uint8_t *at, uint32_t value) {
    dft_put_u16(at, value);
    dft_put_u16(at + 2, value >> 16);
}

static inline void dft_put_u64(uint8_t *at, uint64_t value) {
    dft_put_u32(at, (uint32_t)value);
    dft_put_u32(at + 4, (uint32_t)(value >> 32));
}

#endif
