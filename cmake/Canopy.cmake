# Every folder of the house is one library: folder = namespace = target = floor.
# Debian's directory for libraries, whatever the prefix, unless the user names one: any build can become a package.
if(CMAKE_LIBRARY_ARCHITECTURE)
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE} CACHE PATH "Directory of libraries below the prefix")
endif()
include(GNUInstallDirs)

add_library(canopy_flags INTERFACE)
target_compile_options(canopy_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${CANOPY_WERROR}>:-Werror>)
target_include_directories(canopy_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(canopy_flags INTERFACE CANOPY_VERSION="${PROJECT_VERSION}")
# No dependency that nothing is used of; nothing of the linker's tables stays writable.
add_link_options(-Wl,--as-needed -Wl,-z,relro -Wl,-z,now)
if(CANOPY_SANITIZE)
  target_compile_options(canopy_flags INTERFACE
    -fsanitize=${CANOPY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    -Wno-maybe-uninitialized) # g++ 12 sees them in Boost under sanitizers
  target_link_options(canopy_flags INTERFACE -fsanitize=${CANOPY_SANITIZE})
endif()

# Makes the target canopy_msgpack: the headers of msgpack-cxx, whose CMake package changed its name with version 6.
function(canopy_find_msgpack)
  add_library(canopy_msgpack INTERFACE)
  find_package(msgpack-cxx CONFIG QUIET) # at least 6
  if(TARGET msgpack-cxx)
    target_link_libraries(canopy_msgpack INTERFACE msgpack-cxx)
    return()
  endif()
  find_package(msgpack CONFIG REQUIRED)
  target_link_libraries(canopy_msgpack INTERFACE msgpackc-cxx)
endfunction()

# canopy_library(NAME [PUBLIC dep...] [PRIVATE dep...])
# The library of this folder, from every .cc in it but main.cc.
function(canopy_library name)
  cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(sources)
    add_library(canopy_${name} STATIC ${sources})
    target_link_libraries(canopy_${name}
      PUBLIC canopy_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  else()
    add_library(canopy_${name} INTERFACE)
    target_link_libraries(canopy_${name} INTERFACE canopy_flags ${ARG_PUBLIC})
  endif()
endfunction()

# canopy_program(NAME [CALLED file]): canopy-NAME, or `file`, from this folder's main.cc and its library.
function(canopy_program name)
  cmake_parse_arguments(ARG "" "CALLED" "" ${ARGN})
  add_executable(canopy-${name} ${CMAKE_CURRENT_SOURCE_DIR}/main.cc)
  target_link_libraries(canopy-${name} PRIVATE canopy_${name})
  install(TARGETS canopy-${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT canopy)
  if(ARG_CALLED)
    set_target_properties(canopy-${name} PROPERTIES OUTPUT_NAME ${ARG_CALLED})
  endif()
endfunction()
