/* Status codes shared by engine, board and app. Their wire values are generated from spec/protocol.toml. */
#ifndef DFT_STATUS_H
#define DFT_STATUS_H

typedef enum dft_status {
    DFT_OK = 0,
    DFT_ERR_REGION = 1,  /* a memory region the engine needs is missing, too small or misaligned */
    DFT_ERR_STATE = 2,   /* called in the wrong order */
    DFT_ERR_TIMEOUT = 3, /* a bounded wait ran out */
    DFT_ERR_IO = 4,      /* the transport is gone */
    DFT_ERR_SIZE = 5     /* a length that does not fit */
} dft_status;

#endif
