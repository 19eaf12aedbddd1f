/* The version that generated files must have been made for: they stop the compiler where it differs.
 * Raise it when a generated file or a header it uses changes its meaning. dftiny/codegen/guard.py reads it here. */
#ifndef DFT_VERSION_H
#define DFT_VERSION_H

#define DFT_CODEGEN_VERSION 1

#endif
