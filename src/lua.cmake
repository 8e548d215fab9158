# holdfast_lua: every src/store/lua/NAME.lua as a string, kLua_NAME, in generated/store/lua_scripts.hpp.
# Lines "--@include FILE" are replaced by that file, so that shared Lua is written once.
file(GLOB lua_files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/store/lua/*.lua")
set(lua_header "${CMAKE_BINARY_DIR}/generated/store/lua_scripts.hpp")
add_custom_command(
  OUTPUT "${lua_header}"
  COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${lua_header}" "-DFILES=${lua_files}"
          -P "${CMAKE_SOURCE_DIR}/src/embed_lua.cmake"
  DEPENDS ${lua_files} "${CMAKE_SOURCE_DIR}/src/embed_lua.cmake"
  VERBATIM)
add_custom_target(holdfast_lua_header DEPENDS "${lua_header}")
add_library(holdfast_lua INTERFACE)
add_dependencies(holdfast_lua holdfast_lua_header)
