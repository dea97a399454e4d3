/*
 * SHA-256 against the examples of FIPS 180-4 and lengths around the padding's edges (Python's hashlib).
 */
#include "base/sha256.h"
#include "support/support.h"
#include <stdlib.h>
#include <string.h>

static void test_known_digests(void **state)
{
    static const struct {
        const char *text;
        size_t repeat; /* of the first character, when not 0 */
        const char *hex;
    } cases[] = {
        {"", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 0, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {"a", 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {"a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char hex[65];
        const size_t n = cases[i].repeat ? cases[i].repeat : strlen(cases[i].text);
        char *bytes = malloc(n + 1);
        assert_non_null(bytes);
        if (cases[i].repeat)
            memset(bytes, cases[i].text[0], n);
        else
            memcpy(bytes, cases[i].text, n);
        oxp_sha256_hex(bytes, n, hex);
        assert_string_equal(hex, cases[i].hex);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_digests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
