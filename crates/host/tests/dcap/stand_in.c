/* Stands for Intel's DCAP quote library: the same three functions, answered by whoever listens at the socket SOCKET. A request is
 * one letter, and for a quote the report; an answer is the code to return, a length, and as many bytes. */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { UNEXPECTED = 0xe001, REPORT = 432, TARGET_INFO = 512 };

static int whole(int socket, void *bytes, size_t length) {
    char *at = bytes;
    while (length > 0) {
        ssize_t got = read(socket, at, length);
        if (got <= 0)
            return 0;
        at += got;
        length -= (size_t)got;
    }
    return 1;
}

static uint32_t ask(char what, const void *body, size_t length, void *out, uint32_t room) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, SOCKET, sizeof address.sun_path - 1);
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    uint32_t head[2] = {UNEXPECTED, 0};
    char bytes[65536];
    if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0 && write(connection, &what, 1) == 1 &&
        (length == 0 || write(connection, body, length) == (ssize_t)length) && whole(connection, head, sizeof head)) {
        if (head[1] > sizeof bytes || !whole(connection, bytes, head[1]))
            head[0] = UNEXPECTED;
        else
            memcpy(out, bytes, head[1] < room ? head[1] : room);
    }
    close(connection);
    return head[0];
}

uint32_t sgx_qe_get_target_info(void *target_info) { return ask('t', 0, 0, target_info, TARGET_INFO); }

uint32_t sgx_qe_get_quote_size(uint32_t *size) { return ask('s', 0, 0, size, sizeof *size); }

#ifndef WITHOUT_QUOTES
uint32_t sgx_qe_get_quote(const void *report, uint32_t size, uint8_t *quote) {
    return ask('q', report, REPORT, quote, size);
}
#endif
