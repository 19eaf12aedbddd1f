/* The image being received: pieces at offsets, without a hole, their CRC kept up as they come. Called by commands.c. */
#ifndef DFT_INPUT_H
#define DFT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dft_input {
    int8_t *data; /* where pieces are put: a staging buffer, or the engine's input itself */
    uint32_t bytes;
    bool begun; /* `received` bytes of image_id are there, from offset 0 without a hole */
    uint32_t image_id;
    uint32_t received;
    uint32_t crc; /* register over the received bytes */
} dft_input;

/* `raw_bytes` of an image at `offset`, carried by the n bytes of `data` in `coding` (DFT_CODING_*). */
typedef struct dft_piece {
    uint32_t image_id;
    uint32_t offset;
    uint32_t raw_bytes;
    uint8_t coding;
    const uint8_t *data;
    uint32_t n;
} dft_piece;

void dft_input_open(dft_input *input, int8_t *data, uint32_t bytes);

/* Forgets the image: the next piece begins another one. */
void dft_input_drop(dft_input *input);

bool dft_input_complete(const dft_input *input);

/* Stores a piece or says why not (DFT_REPLY_*). A piece that is there already is ok and changes nothing; an image that is
 * complete and not yet dropped is never overwritten by another one (busy). */
uint8_t dft_input_store(dft_input *input, const dft_piece *piece);

#endif
