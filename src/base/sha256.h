/* sha256.h - SHA-256 (FIPS 180-4), to name a model file in results. Not for secrets: no attempt at
 * constant time. */
#ifndef OXP_BASE_SHA256_H
#define OXP_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

void oxp_sha256(const void *data, size_t size, uint8_t digest[32]);
/* 64 hexadecimal digits and a NUL. */
void oxp_sha256_hex(const void *data, size_t size, char hex[65]);

#endif
