/* See input.h. Every length is checked before anything is stored. */
#include "dft/input.h"

#include <string.h>

#include "dft/crc.h"
#include "dft/unpack.h"
#include "dft_protocol.h"

void dft_input_open(dft_input *input, int8_t *data, uint32_t bytes) {
    *input = (dft_input){.data = data, .bytes = bytes};
}

void dft_input_drop(dft_input *input) {
    input->begun = false;
    input->received = 0;
    input->crc = DFT_CRC_START;
}

bool dft_input_complete(const dft_input *input) { return input->begun && input->received == input->bytes; }

/* A piece of another image must be its first, and may not push out one that still waits for its run. */
static uint8_t begin_image(dft_input *input, const dft_piece *piece) {
    if (dft_input_complete(input)) {
        return DFT_REPLY_BUSY;
    }
    if (piece->offset != 0) {
        return DFT_REPLY_BAD_OFFSET;
    }
    dft_input_drop(input);
    input->begun = true;
    input->image_id = piece->image_id;
    return DFT_REPLY_OK;
}

/* Raw bytes may begin before `received`: what is there stays, only the rest is stored. */
static uint8_t store_raw(dft_input *input, const dft_piece *piece) {
    const uint32_t known = input->received - piece->offset;
    memcpy(input->data + input->received, piece->data + known, piece->raw_bytes - known);
    return DFT_REPLY_OK;
}

/* Packed bytes are predicted from those before them, and must not be unpacked over bytes whose CRC was taken. */
static uint8_t store_packed(dft_input *input, const dft_piece *piece) {
    if (piece->offset != input->received) {
        return DFT_REPLY_BAD_OFFSET;
    }
    const bool fits = dft_unpack(input->data, piece->offset, piece->raw_bytes, piece->data, piece->n);
    return (uint8_t)(fits ? DFT_REPLY_OK : DFT_REPLY_BAD_CODING);
}

static uint8_t check(const dft_input *input, const dft_piece *piece) {
    if (piece->offset > input->bytes || piece->raw_bytes > input->bytes - piece->offset) {
        return DFT_REPLY_BAD_LENGTH;
    }
    if (piece->coding == DFT_CODING_PACKED) {
        return DFT_REPLY_OK;
    }
    if (piece->coding != DFT_CODING_RAW) {
        return DFT_REPLY_BAD_CODING;
    }
    return (uint8_t)(piece->n == piece->raw_bytes ? DFT_REPLY_OK : DFT_REPLY_BAD_LENGTH);
}

uint8_t dft_input_store(dft_input *input, const dft_piece *piece) {
    uint8_t status = check(input, piece);
    if (status == DFT_REPLY_OK && (!input->begun || piece->image_id != input->image_id)) {
        status = begin_image(input, piece);
    }
    if (status != DFT_REPLY_OK) {
        return status;
    }
    if (piece->offset > input->received) {
        return DFT_REPLY_BAD_OFFSET;
    }
    const uint32_t end = piece->offset + piece->raw_bytes;
    if (end <= input->received) {
        return DFT_REPLY_OK;
    }
    status = piece->coding == DFT_CODING_PACKED ? store_packed(input, piece) : store_raw(input, piece);
    if (status == DFT_REPLY_OK) {
        input->crc = dft_crc(input->crc, (const uint8_t *)input->data + input->received, end - input->received);
        input->received = end;
    }
    return status;
}
