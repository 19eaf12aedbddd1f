# dft_add_firmware(target BOARD b ENGINE e BUNDLE dir GEN dir): one image; the linker is where engine and board meet.
set(DFT_FIRMWARE_DIR "${CMAKE_CURRENT_LIST_DIR}/.." CACHE INTERNAL "")

function(dft_add_firmware target)
  cmake_parse_arguments(ARG "" "BOARD;ENGINE;BUNDLE;GEN" "" ${ARGN})
  get_filename_component(firmware "${DFT_FIRMWARE_DIR}" ABSOLUTE)
  set(board "${firmware}/boards/${ARG_BOARD}")
  include("${board}/board.cmake")
  list(TRANSFORM DFT_BOARD_SOURCES PREPEND "${board}/")
  file(GLOB app CONFIGURE_DEPENDS "${firmware}/src/*.c")
  file(GLOB engine CONFIGURE_DEPENDS "${firmware}/engines/${ARG_ENGINE}/*.c")
  set(model "")
  if(ARG_ENGINE STREQUAL "aot")
    if(NOT EXISTS "${ARG_BUNDLE}/src/dft_model.c")
      message(FATAL_ERROR "the aot engine needs DFT_BUNDLE, a folder that dftiny export wrote; '${ARG_BUNDLE}' is none")
    endif()
    file(GLOB model CONFIGURE_DEPENDS "${ARG_BUNDLE}/src/*.c")
    dft_kernels(kernels "${firmware}")
    list(APPEND model ${kernels})
  endif()
  add_executable(${target} ${app} ${engine} ${model} ${DFT_BOARD_SOURCES} "${ARG_GEN}/regions.c"
    "${ARG_GEN}/dft_verdict_data.c")
  set_target_properties(${target} PROPERTIES SUFFIX ".elf" C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  target_include_directories(${target} PRIVATE "${firmware}/include" "${ARG_GEN}" "${firmware}/boards/cortex_m")
  if(ARG_ENGINE STREQUAL "aot")
    target_include_directories(${target} PRIVATE "${firmware}/kernels" "${firmware}/engines/aot" "${ARG_BUNDLE}/src")
  endif()
  dft_flags(${target} "${firmware}" "${ARG_GEN}" "${ARG_BUNDLE}")
  # gcc turns a loop over a name into a call of newlib's strlen, which uses UADD8 and SEL; emulators disagree on them.
  set_source_files_properties(${app} ${engine} ${DFT_BOARD_SOURCES} PROPERTIES
    COMPILE_OPTIONS "-Wconversion;-fno-tree-loop-distribute-patterns")
  if(CMAKE_SYSTEM_NAME STREQUAL "Generic")
    # Without start files, and without a libc that could want a heap: what is missing fails to link.
    target_link_options(${target} PRIVATE -nostartfiles -nostdlib "-T${ARG_GEN}/link.ld" -Wl,--fatal-warnings)
    target_link_libraries(${target} PRIVATE c gcc)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS "${ARG_GEN}/link.ld")
  endif()
endfunction()

# Kernels of this build: on Cortex-M a file of kernels/m7 takes the place of the portable one of the same stem.
function(dft_kernels out firmware)
  file(GLOB found CONFIGURE_DEPENDS "${firmware}/kernels/*.c")
  if(CMAKE_SYSTEM_NAME STREQUAL "Generic")
    file(GLOB fast CONFIGURE_DEPENDS "${firmware}/kernels/m7/*.c" "${firmware}/kernels/m7/*.S")
    foreach(file IN LISTS fast)
      get_filename_component(stem "${file}" NAME_WE)
      list(REMOVE_ITEM found "${firmware}/kernels/${stem}.c")
    endforeach()
    list(APPEND found ${fast})
  endif()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# Paths are mapped away, so that equal sources give equal bytes wherever they lie.
function(dft_flags target firmware gen bundle)
  set(maps "-ffile-prefix-map=${firmware}=firmware" "-ffile-prefix-map=${gen}=gen"
           "-ffile-prefix-map=${CMAKE_BINARY_DIR}=build")
  if(bundle)
    list(APPEND maps "-ffile-prefix-map=${bundle}=bundle")
  endif()
  target_compile_options(${target} PRIVATE -g ${maps} "$<$<COMPILE_LANGUAGE:C>:-O2;-ffunction-sections;-fdata-sections;\
-fno-common;-fstack-usage;-Wall;-Wextra;-Werror;-Wshadow;-Wstrict-prototypes;-Wmissing-prototypes;-Wvla;-Wundef>")
  target_link_options(${target} PRIVATE -Wl,--gc-sections -Wl,--build-id=none
    "-Wl,-Map=${CMAKE_BINARY_DIR}/${target}.map")
  if(DFT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()
