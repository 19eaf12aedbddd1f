/* DEPTHWISE_CONV_2D by rows, windows without a 3x3 tile, portable. Called by the row engine; the file of the same name in
 * m7/, which takes its place on a Cortex-M7, is held to it by ==. */
#include "dft_depthwise_taps_rows.h"

void dft_depthwise_taps_rows(const void *params, const dft_event *event)
{
    dft_depthwise_plain(params, event);
}
