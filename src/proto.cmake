# holdfast_proto: the generated code of proto/, messages and gRPC stubs, compiled without our warnings.
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
set(proto_dir "${CMAKE_SOURCE_DIR}/proto")
set(proto_out "${CMAKE_BINARY_DIR}/generated/proto")
file(MAKE_DIRECTORY "${proto_out}")
file(GLOB_RECURSE proto_files CONFIGURE_DEPENDS RELATIVE "${proto_dir}" "${proto_dir}/*.proto")
set(proto_sources)
foreach(file ${proto_files})
  string(REGEX REPLACE "\\.proto$" "" stem "${file}")
  set(outputs "${proto_out}/${stem}.pb.cc" "${proto_out}/${stem}.pb.h")
  set(flags "--cpp_out=${proto_out}")
  file(STRINGS "${proto_dir}/${file}" services REGEX "^service ")
  if(services)
    list(APPEND outputs "${proto_out}/${stem}.grpc.pb.cc" "${proto_out}/${stem}.grpc.pb.h")
    list(APPEND flags "--grpc_out=${proto_out}" "--plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN}")
  endif()
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND protobuf::protoc "--proto_path=${proto_dir}" ${flags} "${proto_dir}/${file}"
    DEPENDS "${proto_dir}/${file}"
    VERBATIM)
  list(APPEND proto_sources ${outputs})
endforeach()
add_library(holdfast_proto STATIC ${proto_sources})
target_include_directories(holdfast_proto SYSTEM PUBLIC "${proto_out}")
target_link_libraries(holdfast_proto PUBLIC protobuf::libprotobuf gRPC::grpc++)
