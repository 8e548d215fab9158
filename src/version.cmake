# holdfast_version: the header holdfast/version.hpp, with kVersion of project() and kCommit of git,
# looked at in every build and rewritten only when it changes.
#
# Also the script of that step: cmake -DOUTPUT=header -DVERSION=x.y.z -DSOURCE=dir -P version.cmake
if(CMAKE_SCRIPT_MODE_FILE)
  execute_process(
    COMMAND git -c safe.directory=* -C "${SOURCE}" rev-parse --short HEAD
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed AND DEFINED ENV{HOLDFAST_COMMIT})  # where there is no git, as in the image's build
    set(commit "$ENV{HOLDFAST_COMMIT}")
  elseif(failed)
    set(commit "unknown")
  endif()
  set(text "#pragma once\n\n#include <string_view>\n\nnamespace holdfast {\n\n")
  string(APPEND text "inline constexpr std::string_view kVersion = \"${VERSION}\";\n")
  string(APPEND text "inline constexpr std::string_view kCommit = \"${commit}\";\n")
  string(APPEND text "\n}  // namespace holdfast\n")
  set(old "")
  if(EXISTS "${OUTPUT}")
    file(READ "${OUTPUT}" old)
  endif()
  if(NOT old STREQUAL text)
    file(WRITE "${OUTPUT}" "${text}")
  endif()
  return()
endif()

set(version_header "${CMAKE_BINARY_DIR}/generated/holdfast/version.hpp")
add_custom_target(holdfast_version_header
  BYPRODUCTS "${version_header}"
  COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${version_header}" "-DVERSION=${PROJECT_VERSION}"
          "-DSOURCE=${CMAKE_SOURCE_DIR}" -P "${CMAKE_SOURCE_DIR}/src/version.cmake"
  VERBATIM)
add_library(holdfast_version INTERFACE)
add_dependencies(holdfast_version holdfast_version_header)
