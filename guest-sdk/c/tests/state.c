/* The bytes of states: those of wit/state.md, and none other. JSON and texts, too.
 */
#include <tidemark.h>

TM_STATE(rates,
    (uint64_t, samples),
    (uint64_t, zero_samples),
    (double, mean),
    (double, squares),
    (tm_latest_text, orchestrator),
    (tm_latest_text, pipeline))

TM_OPTIONAL(optional_integer, int64_t)
TM_LIST(integers, optional_integer)
TM_STATE(inner, (integers, integers), (bool, flag))
TM_LIST(inners, inner)
TM_STATE(outer, (inners, inners), (tm_text, name), (int8_t, small), (optional_integer, absent))

TM_STATE(picks, (tm_earliest_text, first), (tm_latest_text, last))

TM_INPUT(nothing)
TM_OUTPUT(something, (bool, is_there))
TM_FOLD(nothing, rates, something, .name = "state", .version = "1.0.0", .key = "id", .window = TM_KEY())

#include <tidemark_test.h>

/* Whether `bytes` are these, in hexadecimal. */
static bool is_hex(tm_buffer bytes, const char *expected) {
    tm_buffer hex = {0};
    for (size_t place = 0; place < bytes.length; place++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", (unsigned char)bytes.bytes[place]);
        tm_append(&hex, digits, 2);
    }
    bool is_same = tm_compare((tm_text){hex.bytes, hex.length}, tm_text_of(expected)) == 0;
    if (!is_same) printf("found %.*s\n", (int)hex.length, hex.bytes);
    return is_same;
}

static tm_buffer example(void) {
    rates rates = {.samples = 2, .mean = 17.5, .squares = 0.5};
    tm_text orchestrator = tm_text_of("0xa");
    tm_offer_latest(&rates.orchestrator, 1000, &orchestrator);
    tm_buffer bytes = {0};
    tm_encode_rates(&bytes, &rates);
    return bytes;
}

TM_TEST(the_example_of_the_documentation) {
    TM_EXPECT(is_hex(example(),
        "02000000000000000000000000000000" "0000000000803140" "000000000000e03f"
        "01e803000000000000" "03000000307861" "00"));
    rates rates;
    TM_EXPECT(decode_rates((tm_text){example().bytes, example().length}, &rates));
    TM_EXPECT(rates.samples == 2 && rates.mean == 17.5 && tm_equals(tm_latest(&rates.orchestrator), "0xa"));
    TM_EXPECT(tm_latest(&rates.pipeline) == NULL);
}

TM_TEST(lists_optionals_and_states_within_states) {
    outer written = {.name = tm_text_of("\xc3\xa4"), .small = -1}, read;
    inner inner = {.flag = true};
    add_to_integers(&inner.integers, (optional_integer){0});
    add_to_integers(&inner.integers, (optional_integer){true, -7});
    add_to_inners(&written.inners, inner);
    tm_buffer bytes = {0};
    tm_encode_outer(&bytes, &written);
    TM_EXPECT(is_hex(bytes, "01000000" "02000000" "00" "01f9ffffffffffffff" "01" "02000000c3a4" "ff" "00"));
    TM_EXPECT(decode_outer((tm_text){bytes.bytes, bytes.length}, &read));
    TM_EXPECT(read.inners.length == 1 && read.inners.items[0].integers.items[1].value == -7 && read.small == -1);
    add_to_integers(&read.inners.items[0].integers, (optional_integer){true, 5});
    TM_EXPECT(read.inners.items[0].integers.length == 3);
}

TM_TEST(no_bytes_are_zeros_and_damaged_bytes_are_none) {
    rates rates;
    outer outer;
    TM_EXPECT(decode_rates((tm_text){NULL, 0}, &rates) && rates.samples == 0 && !rates.pipeline.is_some);
    tm_buffer bytes = example();
    for (size_t length = 1; length < bytes.length; length++) TM_EXPECT(!decode_rates((tm_text){bytes.bytes, length}, &rates));
    tm_append(&bytes, "", 1);
    TM_EXPECT(!decode_rates((tm_text){bytes.bytes, bytes.length}, &rates));
    TM_EXPECT(!decode_outer((tm_text){"\xff\xff\xff\xff", 4}, &outer));
    bytes = example();
    bytes.bytes[bytes.length - 1] = 2;
    TM_EXPECT(!decode_rates((tm_text){bytes.bytes, bytes.length}, &rates));
    bytes.bytes[bytes.length - 1] = 0;
    bytes.bytes[bytes.length - 2] = (char)0xFF;
    TM_EXPECT(!decode_rates((tm_text){bytes.bytes, bytes.length}, &rates));
}

TM_TEST(picks_do_not_depend_on_the_order_of_arrival) {
    struct {
        int64_t time_ms;
        const char *text;
    } offers[] = {{2, "b"}, {1, ""}, {1, NULL}, {2, "a"}, {3, "c"}, {3, "\xef\xbf\xae"}, {3, "\xf0\x9f\x98\x80"}};
    for (size_t rotation = 0; rotation < 7; rotation++) {
        picks picks = {0}, later = {0}, earlier = {0};
        for (size_t place = 0; place < 7; place++) {
            const char *string = offers[(place + rotation) % 7].text;
            tm_text text = tm_text_of(string == NULL ? "" : string);
            struct picks *half = place < 3 ? &earlier : &later;
            tm_offer_earliest(&half->first, offers[(place + rotation) % 7].time_ms, string == NULL ? NULL : &text);
            tm_offer_latest(&half->last, offers[(place + rotation) % 7].time_ms, string == NULL ? NULL : &text);
        }
        tm_merge_earliest(&picks.first, &earlier.first);
        tm_merge_earliest(&picks.first, &later.first);
        tm_merge_latest(&picks.last, &earlier.last);
        tm_merge_latest(&picks.last, &later.last);
        TM_EXPECT(tm_equals(tm_earliest_until(&picks.first, 2), "a") && tm_earliest_until(&picks.first, 1) == NULL);
        TM_EXPECT(tm_equals(tm_latest(&picks.last), "\xf0\x9f\x98\x80"));
    }
}

TM_TEST(only_well_formed_utf_8_is_a_text) {
    const char *good[] = {"", "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    const char *bad[] = {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xff"};
    for (size_t place = 0; place < 6; place++) TM_EXPECT(tm_is_utf8(tm_text_of(good[place])));
    for (size_t place = 0; place < 8; place++) TM_EXPECT(!tm_is_utf8(tm_text_of(bad[place])));
}

TM_TEST(only_json_is_read_as_json) {
    const char *good[] = {"null", " [1, -2.5e-3, {}] ", "{\"a\": [true, \"\\\"\"], \"b\": 0}", "\"\\ud83d\\ude00\""};
    const char *bad[] = {"", "[1,]", "{\"a\" 1}", "01", "1.", "-", "tru", "\"", "\"\\\"", "{1: 2}", "1 2", "[", "{\"a\": 1"};
    tm_text value;
    for (size_t place = 0; place < 4; place++) TM_EXPECT(tm_scan_whole(tm_text_of(good[place]), &value));
    for (size_t place = 0; place < 13; place++) TM_EXPECT(!tm_scan_whole(tm_text_of(bad[place]), &value));
    char deep[1000];
    memset(deep, '[', sizeof deep);
    TM_EXPECT(!tm_scan_whole((tm_text){deep, sizeof deep}, &value));
    TM_EXPECT(tm_unquote(tm_text_of("\"\\ud83d\\ude00\\u00e4\\n\""), &value));
    TM_EXPECT(tm_equals(&value, "\xf0\x9f\x98\x80\xc3\xa4\n"));
    TM_EXPECT(tm_unquote(tm_text_of("\"\\ud83d\""), &value) && tm_equals(&value, "\xef\xbf\xbd"));
    TM_EXPECT(!tm_unquote(tm_text_of("\"\\x\""), &value) && !tm_unquote(tm_text_of("\"\xff\""), &value));
    int64_t integer;
    TM_EXPECT(tm_read_integer(tm_text_of("-9223372036854775808"), &integer) && integer == INT64_MIN);
    TM_EXPECT(!tm_read_integer(tm_text_of("9223372036854775808"), &integer) && !tm_read_integer(tm_text_of(""), &integer));
}
