/* Morse code of letters. */
#include "cabinet.h"

#include <string.h>

static const char *const code[26] = {".-",   "-...", "-.-.", "-..",  ".",   "..-.", "--.",  "....", "..",
                                     ".---", "-.-",  ".-..", "--",   "-.",  "---",  ".--.", "--.-", ".-.",
                                     "...",  "-",    "..-",  "...-", ".--", "-..-", "-.--", "--.."};

static void send(const char *text, char *out) {
    *out = '\0';
    for (; *text; text++) {
        strcat(out, code[*text - 'a']);
        if (text[1])
            strcat(out, " ");
    }
}

static void receive(const char *signal, char *out) {
    while (*signal) {
        size_t length = strcspn(signal, " ");
        for (int letter = 0; letter < 26; letter++)
            if (strlen(code[letter]) == length && strncmp(code[letter], signal, length) == 0)
                *out++ = (char)('a' + letter);
        signal += length;
        signal += *signal == ' ';
    }
    *out = '\0';
}

void exhibit_morse(struct visit *visit) {
    char signal[256], text[64];
    send("sos", signal);
    CHECK(visit, strcmp(signal, "... --- ...") == 0);
    send("thequickbrownfoxjumpsoverthelazydog", signal);
    receive(signal, text);
    CHECK(visit, strcmp(text, "thequickbrownfoxjumpsoverthelazydog") == 0);
}
