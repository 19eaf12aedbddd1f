/* CRC-32 as zlib computes it (reflected polynomial 0xEDB88320, register starts and ends inverted). */
#ifndef DFT_CRC_H
#define DFT_CRC_H

#include <stdint.h>

#define DFT_CRC_START 0xFFFFFFFFu
/* What the register holds after data followed by their own CRC, little endian. */
#define DFT_CRC_RESIDUE 0xDEBB20E3u

/* The register after one more byte, or n more; the CRC is the register's complement. */
uint32_t dft_crc_byte(uint32_t reg, uint8_t byte);
uint32_t dft_crc(uint32_t reg, const uint8_t *bytes, uint32_t n);

#endif
