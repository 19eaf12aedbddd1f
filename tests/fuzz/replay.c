/* Runs the files named on the command line through the fuzzer's function, without a fuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return 2;
    }
    const long n = ftell(file);
    uint8_t *bytes = n < 0 ? NULL : malloc(n == 0 ? 1 : (size_t)n);
    rewind(file);
    if (bytes == NULL || fread(bytes, 1, (size_t)n, file) != (size_t)n) {
        return 2;
    }
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, (size_t)n);
    free(bytes);
    return 0;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i]) != 0) {
            return 2;
        }
    }
    printf("%d replayed\n", argc - 1);
    return 0;
}
