/* The application: bytes in, frames, one reply each, bytes out. Called by main.c only. */
#ifndef DFT_APP_H
#define DFT_APP_H

#include "dft/board.h"
#include "dft/engine.h"

/* Answers until told to halt (DFT_OK) or until the transport is gone. */
dft_status dft_app_run(const dft_board *board, const dft_engine *engine);

#endif
