/* The C framing as a filter, for tests. Each input line is a command, each output line its result:
 *   e TYPE SEQ PAYLOAD   the frame's bytes on the wire      (numbers decimal, bytes in hex, "-" for none)
 *   d BYTES              feeds bytes; one "TYPE SEQ PAYLOAD" per good frame, then "ok N bad N" since the start */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dft/frame.h"

#define LINE_MAX_BYTES (1 << 20)

static char line[LINE_MAX_BYTES];
static uint8_t bytes[LINE_MAX_BYTES / 2];

static uint32_t parse_hex(const char *text) {
    uint32_t n = 0;
    for (; text[0] != '\0' && text[0] != '\n' && text[0] != '-'; text += 2) {
        unsigned value = 0;
        if (sscanf(text, "%2x", &value) != 1) {
            exit(2);
        }
        bytes[n++] = (uint8_t)value;
    }
    return n;
}

static void print_hex(const uint8_t *data, uint32_t n) {
    if (n == 0) {
        printf("-");
    }
    for (uint32_t i = 0; i < n; i++) {
        printf("%02x", data[i]);
    }
    printf("\n");
}

static void encode(const char *arguments) {
    /* Exactly as large as promised, on the heap, so that the sanitizer sees one byte too many. */
    uint8_t *wire = malloc(DFT_WIRE_BYTES_MAX);
    unsigned type = 0;
    unsigned seq = 0;
    int at = 0;
    if (wire == NULL || sscanf(arguments, "%u %u %n", &type, &seq, &at) != 2) {
        exit(2);
    }
    const uint32_t n = parse_hex(arguments + at);
    print_hex(wire, dft_frame_encode(wire, (uint8_t)type, (uint8_t)seq, bytes, n));
    free(wire);
}

static void decode(dft_decoder *decoder, const char *arguments) {
    const uint32_t n = parse_hex(arguments);
    for (uint32_t i = 0; i < n; i++) {
        if (dft_decoder_push(decoder, bytes[i])) {
            printf("%u %u ", dft_decoder_type(decoder), dft_decoder_seq(decoder));
            print_hex(dft_decoder_payload(decoder), dft_decoder_payload_bytes(decoder));
        }
    }
    printf("ok %u bad %u\n", decoder->frames_ok, decoder->frames_bad);
}

int main(void) {
    dft_decoder *decoder = malloc(sizeof *decoder);
    if (decoder == NULL) {
        return 2;
    }
    dft_decoder_init(decoder);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (line[0] == 'e') {
            encode(line + 2);
        } else if (line[0] == 'd') {
            decode(decoder, line + 2);
        }
    }
    free(decoder);
    return 0;
}
