/* Somebody's program on a computer: int8 tiles from stdin, int8 outputs to stdout. Each region is an allocation of its
 * own of exactly the size asked for, filled with a pattern. Prints how often the hook was called. For tests only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dft_model.h"

static unsigned hooked;

static void hook(uint32_t op)
{
    hooked += op < DFT_MODEL_OPS;
}

static void *lend(size_t bytes, size_t align)
{
    void *memory = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (memory == NULL) {
        exit(3);
    }
    return memset(memory, 0xA5, bytes);
}

int main(void)
{
    char *axi = lend(DFT_MODEL_AXI_BYTES, DFT_MODEL_AXI_ALIGN);
    char *d2 = lend(DFT_MODEL_D2_BYTES, DFT_MODEL_D2_ALIGN);
    size_t axi_bytes = DFT_MODEL_AXI_BYTES, d2_bytes = DFT_MODEL_D2_BYTES;
    if (dft_model_run() != NULL) {
        return 4;
    }
    int8_t *input = dft_model_open(axi, axi_bytes, d2, d2_bytes);
    if (input == NULL) {
        return 5;
    }
    if (dft_model_open(axi, axi_bytes, d2, d2_bytes - 1) != NULL || dft_model_open(axi, axi_bytes, NULL, d2_bytes) != NULL ||
        dft_model_open(axi + 1, axi_bytes, d2, d2_bytes) != NULL || dft_model_run() != NULL) {
        return 6;
    }
    input = dft_model_open(axi, axi_bytes, d2, d2_bytes);
    dft_model_set_hook(hook);
    while (fread(input, 1, DFT_MODEL_INPUT_BYTES, stdin) == DFT_MODEL_INPUT_BYTES) {
        const int8_t *output = dft_model_run();
        if (output == NULL || fwrite(output, 1, DFT_MODEL_OUTPUT_BYTES, stdout) != DFT_MODEL_OUTPUT_BYTES) {
            return 7;
        }
    }
    (void)fprintf(stderr, "hooked %u\n", hooked);
    free(axi);
    free(d2);
    return 0;
}
