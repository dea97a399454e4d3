# Writes OUT, a C file that defines `const unsigned char NAME[]` and `const size_t NAME_size` with the
# bytes of the file IN. Run as: cmake -DIN=... -DOUT=... -DNAME=... -P embed.cmake
file(READ "${IN}" bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REPEAT "." 80 line) # 16 bytes of 5 characters
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "#include \"render/font_data.h\"\n\nconst unsigned char ${NAME}[] = {\n${bytes}\n};\n"
  "const size_t ${NAME}_size = sizeof(${NAME});\n")
