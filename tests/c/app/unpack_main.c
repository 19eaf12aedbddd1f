/* dft_unpack as a filter, for tests: each line "BEFORE RAW DATA" (hex, decimal, hex; "-" for none) is a piece behind the
 * image bytes BEFORE; the output is "1 BYTES" or "0". Everything lies on the heap in its exact size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dft/unpack.h"

#define LINE_MAX_BYTES (1u << 20)

static uint8_t *from_hex(const char *text, uint32_t *n, uint32_t room) {
    *n = text[0] == '-' ? 0u : (uint32_t)(strlen(text) / 2);
    uint8_t *bytes = malloc(*n + room + 1u);
    for (uint32_t i = 0; bytes != NULL && i < *n; i++) {
        unsigned value = 0;
        (void)sscanf(text + 2 * i, "%2x", &value);
        bytes[i] = (uint8_t)value;
    }
    return bytes;
}

static int unpack_line(const char *before, uint32_t raw, const char *data) {
    uint32_t offset = 0, n = 0;
    uint8_t *spare = from_hex(before, &offset, raw), *coded = from_hex(data, &n, 0);
    uint8_t *image = malloc(offset + raw == 0 ? 1 : offset + raw), *piece = malloc(n == 0 ? 1 : n);
    if (spare == NULL || coded == NULL || image == NULL || piece == NULL) {
        return 2;
    }
    memcpy(image, spare, offset);
    memcpy(piece, coded, n);
    const bool good = dft_unpack((int8_t *)image, offset, raw, piece, n);
    printf("%d ", good);
    for (uint32_t i = 0; good && i < raw; i++) {
        printf("%02x", image[offset + i]);
    }
    printf("%s\n", memcmp(image, spare, offset) == 0 ? "" : " OVERWRITTEN");
    free(spare);
    free(coded);
    free(image);
    free(piece);
    return 0;
}

int main(void) {
    static char line[LINE_MAX_BYTES], before[LINE_MAX_BYTES], data[LINE_MAX_BYTES];
    unsigned raw = 0;
    while (fgets(line, (int)sizeof line, stdin) != NULL) {
        if (sscanf(line, "%1048575s %u %1048575s", before, &raw, data) != 3 || unpack_line(before, raw, data) != 0) {
            return 2;
        }
    }
    return 0;
}
