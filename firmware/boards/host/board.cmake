set(DFT_BOARD_SOURCES host.c line.c faults.c)
set(DFT_BOARD_LIBRARIES pthread)
