/* Frames: COBS( type | seq | payload | CRC-32 ) and a zero byte. The Python twin is dftiny/link/frame.py;
 * both are held to tests/vectors/frames.json. Knows nothing of messages or boards. Called by app.c. */
#ifndef DFT_FRAME_H
#define DFT_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "dft_protocol.h"

#define DFT_FRAME_HEADER_BYTES 2u
#define DFT_FRAME_CRC_BYTES 4u
#define DFT_FRAME_BYTES_MAX (DFT_FRAME_HEADER_BYTES + DFT_MAX_PAYLOAD + DFT_FRAME_CRC_BYTES)
/* COBS adds one byte for each 254 begun; the delimiter is one more. */
#define DFT_WIRE_BYTES_MAX (DFT_FRAME_BYTES_MAX + DFT_FRAME_BYTES_MAX / 254u + 2u)

/* Takes bytes as they come, cut anywhere. Starts afresh at each delimiter, so one lost byte costs one frame. */
typedef struct dft_decoder {
    uint8_t body[DFT_FRAME_BYTES_MAX]; /* type, seq, payload, CRC */
    uint32_t n;                        /* bytes in body */
    uint32_t crc;                      /* register over body, kept up byte by byte: no burst of work at a frame's end */
    uint8_t code;                      /* COBS code of the block being read; 0 = no frame begun */
    uint8_t left;                      /* bytes of that block still to come */
    bool overrun;                      /* longer than any frame: wait for the delimiter */
    uint32_t frames_ok;
    uint32_t frames_bad;
} dft_decoder;

void dft_decoder_init(dft_decoder *decoder);

/* Feeds one byte; true when it ended a good frame, which lies in `body` until the next byte is fed. */
bool dft_decoder_push(dft_decoder *decoder, uint8_t byte);

static inline uint8_t dft_decoder_type(const dft_decoder *decoder) { return decoder->body[0]; }
static inline uint8_t dft_decoder_seq(const dft_decoder *decoder) { return decoder->body[1]; }
static inline const uint8_t *dft_decoder_payload(const dft_decoder *decoder) { return decoder->body + DFT_FRAME_HEADER_BYTES; }
/* Only after a good frame: its n is at least header and CRC. */
static inline uint32_t dft_decoder_payload_bytes(const dft_decoder *decoder) {
    return decoder->n - DFT_FRAME_HEADER_BYTES - DFT_FRAME_CRC_BYTES;
}

/* Writes a frame with its delimiter; returns its length on the wire, 0 when the payload is too long. */
uint32_t dft_frame_encode(uint8_t wire[DFT_WIRE_BYTES_MAX], uint8_t type, uint8_t seq, const uint8_t *payload, uint32_t n);

#endif
