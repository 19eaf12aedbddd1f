# dft_tflm(target BUNDLE dir GEN dir): links the user's TensorFlow Lite Micro into a firmware with the tflm engine.
#   TFLM_ROOT     a checkout of tflite-micro in which its own Makefile built the target cortex_m_generic for
#                 cortex-m7+fp, with or without CMSIS-NN (tensorflow/lite/micro/cortex_m_generic/README.md there),
#                 or a tree that its create_tflm_tree.py made (then give TFLM_LIBRARY too)
#   TFLM_LIBRARY  the libtensorflow-microlite.a, where several were built or it lies elsewhere
set(TFLM_ROOT "" CACHE PATH "a checkout of tflite-micro, built for cortex-m7+fp (tflm engine)")
set(TFLM_LIBRARY "" CACHE FILEPATH "libtensorflow-microlite.a (default: the one under TFLM_ROOT/gen)")

function(dft_tflm_library out)
  if(TFLM_LIBRARY)
    set(found "${TFLM_LIBRARY}")
  else()
    file(GLOB found "${TFLM_ROOT}/gen/cortex_m_generic_cortex-m7*/lib/libtensorflow-microlite.a")
  endif()
  list(LENGTH found n)
  if(n EQUAL 0)
    message(FATAL_ERROR "no libtensorflow-microlite.a under '${TFLM_ROOT}/gen': build TFLM for cortex-m7+fp, or set TFLM_LIBRARY")
  elseif(n GREATER 1)
    message(FATAL_ERROR "several libtensorflow-microlite.a under '${TFLM_ROOT}/gen': choose one with TFLM_LIBRARY")
  elseif(NOT EXISTS "${found}")
    message(FATAL_ERROR "TFLM_LIBRARY '${found}' does not exist")
  endif()
  set(DFT_TFLM_LINKED "${found}" CACHE INTERNAL "the library, for dftiny build's manifest")
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# Headers of third parties: where TFLM's Makefile downloads them, or in the tree that create_tflm_tree.py makes.
function(dft_tflm_includes out)
  set(found "${TFLM_ROOT}")
  foreach(parent IN ITEMS tensorflow/lite/micro/tools/make/downloads third_party)
    foreach(name IN ITEMS flatbuffers/include gemmlowp ruy)
      if(IS_DIRECTORY "${TFLM_ROOT}/${parent}/${name}")
        list(APPEND found "${TFLM_ROOT}/${parent}/${name}")
      endif()
    endforeach()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

function(dft_tflm target)
  cmake_parse_arguments(ARG "" "BUNDLE;GEN" "" ${ARGN})
  if(NOT EXISTS "${TFLM_ROOT}/tensorflow/lite/micro/micro_interpreter.h")
    message(FATAL_ERROR "the tflm engine needs TFLM_ROOT, a checkout of tflite-micro; '${TFLM_ROOT}' is none")
  endif()
  dft_tflm_library(library)
  dft_tflm_includes(includes)
  target_sources(${target} PRIVATE "${ARG_GEN}/dft_tflm_model.S")
  set_source_files_properties("${ARG_GEN}/dft_tflm_model.S" PROPERTIES
    INCLUDE_DIRECTORIES "${ARG_BUNDLE}" OBJECT_DEPENDS "${ARG_BUNDLE}/model.tflite")
  target_include_directories(${target} SYSTEM PRIVATE ${includes})
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  # As TFLM builds itself: TF_LITE_STATIC_MEMORY changes the layout of its structs.
  target_compile_definitions(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:TF_LITE_STATIC_MEMORY;TF_LITE_DISABLE_X86_NEON>")
  # CMSIS_NN decides whether TFLM's headers declare int8-only kernels or fall back to the general ones.
  file(STRINGS "${library}" optimised REGEX "arm_convolve_wrapper_s8" LIMIT_COUNT 1)
  if(optimised)
    target_compile_definitions(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:CMSIS_NN>")
  endif()
  target_compile_options(${target} PRIVATE "-ffile-prefix-map=${TFLM_ROOT}=tflm"
    "$<$<COMPILE_LANGUAGE:CXX>:-O2;-fno-rtti;-fno-exceptions;-fno-threadsafe-statics;-ffunction-sections;\
-fdata-sections;-fstack-usage;-Wall;-Wextra;-Werror>")
  target_link_libraries(${target} PRIVATE "${library}" m)
endfunction()
