/* run_model.c for many generated models in one program: the first argument says which. The models are compiled with
 * -Ddft_the_engine=engine_<n> and listed in the generated `engines`. For tests only. */
#include "dft/engine.h"

extern const dft_engine *const engines[];
extern const unsigned engines_n;
static const dft_engine *chosen;

int run_model(int argc, char **argv);

#define dft_the_engine (*chosen)
#define main run_model
#include "run_model.c"
#undef main

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : engines_n;
    if (n >= engines_n) {
        return fail("no such engine");
    }
    chosen = engines[n];
    return run_model(argc - 1, argv + 1);
}
