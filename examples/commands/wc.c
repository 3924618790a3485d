/* Counts the lines, words and bytes of standard input, as wc does. */
#include <ctype.h>
#include <stdio.h>

int main(void) {
    long lines = 0, words = 0, bytes = 0;
    int in_word = 0;
    for (int c; (c = getchar()) != EOF; bytes++) {
        lines += c == '\n';
        words += !in_word && !isspace(c);
        in_word = !isspace(c);
    }
    if (ferror(stdin)) {
        perror("wc");
        return 1;
    }
    printf("%ld %ld %ld\n", lines, words, bytes);
    return 0;
}
