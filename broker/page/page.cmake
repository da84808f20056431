# Makes page.cc: the page with its style and script inlined, and the policy that permits these two by their hashes.

# The base64 of the SHA-256 of `text`, as Content-Security-Policy requires.
function(page_hash result text)
  set(alphabet ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  string(SHA256 digits "${text}")
  string(APPEND digits 00) # 32 bytes are ten groups of three and two bytes more
  set(encoded "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING ${digits} ${at} 6 group)
    foreach(shift 18 12 6 0)
      math(EXPR index "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING ${alphabet} ${index} 1 character)
      string(APPEND encoded ${character})
    endforeach()
  endforeach()
  string(SUBSTRING ${encoded} 0 43 encoded)
  set(${result} "sha256-${encoded}=" PARENT_SCOPE)
endfunction()

# page_sources(TARGET): adds the page to a target.
function(page_sources target)
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/page)
  foreach(part page.html page.css text.js picture.js page.js)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${part})
    file(READ ${folder}/${part} ${part})
  endforeach()
  set(style "${page.css}")
  set(script "${text.js}${picture.js}${page.js}")
  page_hash(style_hash "${style}")
  page_hash(script_hash "${script}")
  string(CONCAT policy "default-src 'none'; script-src '${script_hash}'; style-src '${style_hash}'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
  string(REPLACE "/*style*/" "${style}" page "${page.html}")
  string(REPLACE "/*script*/" "${script}" page "${page}")
  configure_file(${folder}/page.cc.in ${CMAKE_CURRENT_BINARY_DIR}/page.cc @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/page.cc)
endfunction()
