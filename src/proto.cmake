# holdfast_proto_library(TARGET DIRECTORY): the generated code of all .proto files below the directory,
# messages and gRPC stubs, compiled without our warnings.
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

function(holdfast_proto_library target directory)
  set(out "${CMAKE_BINARY_DIR}/generated/${target}")
  file(MAKE_DIRECTORY "${out}")
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${directory}" "${directory}/*.proto")
  set(sources)
  foreach(file ${files})
    string(REGEX REPLACE "\\.proto$" "" stem "${file}")
    set(outputs "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    set(flags "--cpp_out=${out}")
    file(STRINGS "${directory}/${file}" services REGEX "^service ")
    if(services)
      list(APPEND outputs "${out}/${stem}.grpc.pb.cc" "${out}/${stem}.grpc.pb.h")
      list(APPEND flags "--grpc_out=${out}" "--plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN}")
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND protobuf::protoc "--proto_path=${directory}" ${flags} "${directory}/${file}"
      DEPENDS "${directory}/${file}"
      VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC "${out}")
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf gRPC::grpc++)
endfunction()

holdfast_proto_library(holdfast_proto "${CMAKE_SOURCE_DIR}/proto")
