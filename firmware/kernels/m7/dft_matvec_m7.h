/* What m7/matvec_rows.c and matvec_run.S share; private to them. Read by both compilers. */
#ifndef DFT_MATVEC_M7_H
#define DFT_MATVEC_M7_H

/* Byte offsets in dft_matvec_job. */
#define JOB_WEIGHTS 0
#define JOB_RECORDS 4
#define JOB_X 8
#define JOB_END 12
#define JOB_ODD 16
#define JOB_OUT 20
#define JOB_ROUND 24
#define JOB_TABLE 28
#define JOB_COUNT 32

#if !defined(__ASSEMBLER__)
#include <stdint.h>

/* Channels in fours. `weights`, `records`, `out` and `count` move on. */
typedef struct dft_matvec_job {
    const int32_t *weights;
    const int32_t *records;
    const int32_t *x;   /* widened: a quad is inputs 0, 2 and 1, 3 */
    const int32_t *end; /* of x */
    uint32_t odd;       /* an odd number of quads */
    int8_t *out;
    int32_t round;
    const int8_t *table; /* its middle, or null */
    uint32_t count;      /* of fours, at least one; 0 in the end */
} dft_matvec_job;

void dft_matvec_run(dft_matvec_job *job);

/* Words of four int8 to quads. */
void dft_matvec_widen(int32_t *to, const int8_t *from, uint32_t quads);
#endif

#endif
