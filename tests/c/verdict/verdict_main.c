/* The running verdict as a filter for tests: "b PHOTO TILES SEEN EVIDENCE" begins, "a OUTPUT N" adds a tile; after
 * each line the whole state is printed. */
#include <inttypes.h>
#include <stdio.h>

#include "dft/verdict.h"

int main(void) {
    dft_verdict verdict = {0};
    char kind;
    while (scanf(" %c", &kind) == 1) {
        if (kind == 'b') {
            uint32_t photo_id = 0, tiles = 0, seen = 0;
            int32_t evidence = 0;
            if (scanf("%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNd32, &photo_id, &tiles, &seen, &evidence) != 4) {
                return 1;
            }
            dft_verdict_begin(&verdict, photo_id, tiles, seen, evidence);
        } else {
            int output = 0;
            uint32_t n = 0;
            if (scanf("%d %" SCNu32, &output, &n) != 2) {
                return 1;
            }
            const int8_t outputs[2] = {(int8_t)output, 0};
            if (dft_verdict_add(&verdict, outputs, n) != verdict.decision) {
                return 2;
            }
        }
        printf("%" PRIu32 " %" PRIu32 " %" PRId32 " %d\n", verdict.photo_id, verdict.seen, verdict.evidence, verdict.decision);
    }
    return 0;
}
