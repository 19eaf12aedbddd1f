/* Packed pieces of an image: prediction from the neighbours and Rice codes. The Python twin, which packs, is
 * dftiny/link/pack.py; the format is described there. Called by input.c. */
#ifndef DFT_UNPACK_H
#define DFT_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes in front of the codes: u16 bytes of an image row, u8 bytes of a pixel. */
#define DFT_PACK_HEADER_BYTES 3u
/* Bytes of the image that share one Rice parameter. */
#define DFT_PACK_BLOCK 32u

/* Writes image[offset … offset + raw_bytes), reading no byte of the image behind those it wrote and none before 0.
 * False when the n bytes of `data` are no such piece; then some of that range may have been written. */
bool dft_unpack(int8_t *image, uint32_t offset, uint32_t raw_bytes, const uint8_t *data, uint32_t n);

#endif
