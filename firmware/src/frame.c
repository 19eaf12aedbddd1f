/* COBS (Cheshire and Baker, 1999) and CRC-32 framing, byte by byte. Believes no length that comes over the wire. */
#include "dft/frame.h"

#include "dft/crc.h"

/* A COBS block of this code is full: no zero is implied behind it. */
#define COBS_FULL 0xFFu

_Static_assert(DFT_DELIMITER == 0, "COBS keeps zero, and nothing else, out of a frame");

static void begin(dft_decoder *decoder) {
    decoder->n = 0;
    decoder->crc = DFT_CRC_START;
    decoder->code = 0;
    decoder->left = 0;
    decoder->overrun = false;
}

void dft_decoder_init(dft_decoder *decoder) {
    begin(decoder);
    decoder->frames_ok = 0;
    decoder->frames_bad = 0;
}

static void store(dft_decoder *decoder, uint8_t byte) {
    if (decoder->n >= sizeof decoder->body) {
        decoder->overrun = true;
        return;
    }
    decoder->body[decoder->n++] = byte;
    decoder->crc = dft_crc_byte(decoder->crc, byte);
}

static bool good(const dft_decoder *decoder) {
    return !decoder->overrun && decoder->left == 0 && decoder->n >= DFT_FRAME_HEADER_BYTES + DFT_FRAME_CRC_BYTES &&
           decoder->crc == DFT_CRC_RESIDUE;
}

/* A delimiter: what was read is a frame, nothing at all (idle delimiters are fine), or rubbish. */
static bool end(dft_decoder *decoder) {
    const bool begun = decoder->code != 0;
    const bool ok = begun && good(decoder);
    const uint32_t n = decoder->n;
    begin(decoder);
    if (ok) {
        decoder->frames_ok++;
        decoder->n = n;
    } else if (begun) {
        decoder->frames_bad++;
    }
    return ok;
}

bool dft_decoder_push(dft_decoder *decoder, uint8_t byte) {
    if (byte == DFT_DELIMITER) {
        return end(decoder);
    }
    if (decoder->left > 0) {
        decoder->left--;
        store(decoder, byte);
        return false;
    }
    if (decoder->code == 0) {
        begin(decoder); /* the last good frame's length was kept until now */
    } else if (decoder->code != COBS_FULL) {
        store(decoder, 0);
    }
    decoder->code = byte;
    decoder->left = (uint8_t)(byte - 1u);
    return false;
}

/* A COBS encoder that knows where its open block's code goes. */
typedef struct writer {
    uint8_t *wire;
    uint32_t n;
    uint32_t code_at;
    uint32_t crc;
} writer;

static void close_block(writer *w) {
    w->wire[w->code_at] = (uint8_t)(w->n - w->code_at);
    w->code_at = w->n++;
}

static void put(writer *w, uint8_t byte) {
    /* A full block is closed only when more follows it: no empty block at the end (as the Python package does). */
    if (w->n - w->code_at == COBS_FULL) {
        close_block(w);
    }
    if (byte == 0) {
        close_block(w);
    } else {
        w->wire[w->n++] = byte;
    }
}

static void put_counted(writer *w, uint8_t byte) {
    w->crc = dft_crc_byte(w->crc, byte);
    put(w, byte);
}

uint32_t dft_frame_encode(uint8_t wire[DFT_WIRE_BYTES_MAX], uint8_t type, uint8_t seq, const uint8_t *payload, uint32_t n) {
    if (n > DFT_MAX_PAYLOAD) {
        return 0;
    }
    writer w = {.wire = wire, .n = 1, .code_at = 0, .crc = DFT_CRC_START};
    put_counted(&w, type);
    put_counted(&w, seq);
    for (uint32_t i = 0; i < n; i++) {
        put_counted(&w, payload[i]);
    }
    const uint32_t crc = ~w.crc;
    for (uint32_t i = 0; i < DFT_FRAME_CRC_BYTES; i++) {
        put(&w, (uint8_t)(crc >> (8u * i)));
    }
    w.wire[w.code_at] = (uint8_t)(w.n - w.code_at);
    w.wire[w.n++] = DFT_DELIMITER;
    return w.n;
}
