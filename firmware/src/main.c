/* The composition root: the only file that knows the board and the engine, which the linker has chosen. */
#include "dft/app.h"
#include "dft/stackmeter.h"

int main(int argc, char **argv) {
    dft_stack_paint(dft_the_board.stack());
    const dft_status ready = dft_the_board.init(argc, argv);
    dft_the_board.halt(ready == DFT_OK ? dft_app_run(&dft_the_board, &dft_the_engine) : ready);
    return 0;
}
