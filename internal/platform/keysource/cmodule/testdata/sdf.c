/* A software stand-in for a cryptographic device behind SDF (GM/T 0018), for tests only: it guards nothing. Its KEKs are the files kek-N of the
 * folder in XINGLIN_SDF_STANDIN, 16 bytes each; a file pin-N is the password of the access right to N. It prints, as libraries do. */
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SDR_OPENDEVICE 0x01000005
#define SDR_KEYNOTEXIST 0x01000008
#define SDR_ALGNOTSUPPORT 0x01000009
#define SDR_ENCDATAERR 0x01000016
#define SDR_PRKRERR 0x01000018
#define SDR_NOBUFFER 0x0100001c

#define SGD_SM4_ECB 0x401
#define SGD_SM4_CBC 0x402

static const uint8_t sbox[256] = {
	0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
	0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
	0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
	0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
	0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
	0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
	0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
	0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
	0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
	0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
	0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
	0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
	0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
	0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
	0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
	0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48};

typedef struct { uint32_t rk[32]; } sm4;

static uint32_t rotl(uint32_t x, int n) { return x << n | x >> (32 - n); }

static uint32_t tau(uint32_t x) {
	return (uint32_t)sbox[x >> 24] << 24 | (uint32_t)sbox[x >> 16 & 255] << 16 | (uint32_t)sbox[x >> 8 & 255] << 8 | sbox[x & 255];
}

static uint32_t word(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void expand(sm4 *s, const uint8_t key[16]) {
	static const uint32_t fk[4] = {0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc};
	uint32_t k[4];
	for (int i = 0; i < 4; i++) k[i] = word(key + 4 * i) ^ fk[i];
	for (int i = 0; i < 32; i++) {
		uint32_t ck = 0;
		for (int j = 0; j < 4; j++) ck = ck << 8 | (uint8_t)((4 * i + j) * 7);
		uint32_t t = tau(k[1] ^ k[2] ^ k[3] ^ ck);
		uint32_t next = k[0] ^ t ^ rotl(t, 13) ^ rotl(t, 23);
		k[0] = k[1], k[1] = k[2], k[2] = k[3], k[3] = next;
		s->rk[i] = next;
	}
}

static void block(const sm4 *s, int decrypt, const uint8_t in[16], uint8_t out[16]) {
	uint32_t x[4];
	for (int i = 0; i < 4; i++) x[i] = word(in + 4 * i);
	for (int i = 0; i < 32; i++) {
		uint32_t t = tau(x[1] ^ x[2] ^ x[3] ^ s->rk[decrypt ? 31 - i : i]);
		uint32_t next = x[0] ^ t ^ rotl(t, 2) ^ rotl(t, 10) ^ rotl(t, 18) ^ rotl(t, 24);
		x[0] = x[1], x[1] = x[2], x[2] = x[3], x[3] = next;
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) out[4 * i + j] = x[3 - i] >> (24 - 8 * j);
}

static int readfile(const char *kind, unsigned index, uint8_t *to, size_t size, size_t *got) {
	char path[4096];
	const char *dir = getenv("XINGLIN_SDF_STANDIN");
	if (!dir) return -1;
	snprintf(path, sizeof path, "%s/%s-%u", dir, kind, index);
	FILE *f = fopen(path, "rb");
	if (!f) return -1;
	*got = fread(to, 1, size, f);
	fclose(f);
	return 0;
}

static int granted;

static int kek(unsigned index, sm4 *s) {
	uint8_t key[16], pin[64];
	size_t n;
	if (readfile("kek", index, key, sizeof key, &n) || n != 16) return SDR_KEYNOTEXIST;
	if (!readfile("pin", index, pin, sizeof pin, &n) && !granted) return SDR_PRKRERR;
	expand(s, key);
	return 0;
}

int SDF_OpenDevice(void **device) {
	static int d;
	printf("stand-in of an SDF device\nwithout an end of its line");
	fflush(stdout);
	if (!getenv("XINGLIN_SDF_STANDIN")) return SDR_OPENDEVICE;
	*device = &d;
	return 0;
}

int SDF_CloseDevice(void *device) { return 0; }

int SDF_OpenSession(void *device, void **session) {
	*session = malloc(1);
	return 0;
}

int SDF_CloseSession(void *session) {
	free(session);
	return 0;
}

int SDF_GetPrivateKeyAccessRight(void *session, unsigned int index, unsigned char *password, unsigned int n) {
	uint8_t pin[64];
	size_t size;
	if (readfile("pin", index, pin, sizeof pin, &size)) return SDR_KEYNOTEXIST;
	if (size != n || memcmp(pin, password, n)) return SDR_PRKRERR;
	granted = 1;
	return 0;
}

int SDF_GenerateKeyWithKEK(void *session, unsigned int bits, unsigned int alg, unsigned int index, unsigned char *out, unsigned int *n, void **handle) {
	sm4 s;
	int rv = kek(index, &s);
	if (rv) return rv;
	if (bits != 128 || alg != SGD_SM4_ECB) return SDR_ALGNOTSUPPORT;
	if (*n < 16) return SDR_NOBUFFER;
	uint8_t key[16];
	FILE *f = fopen("/dev/urandom", "rb");
	if (!f || fread(key, 1, 16, f) != 16) return SDR_OPENDEVICE;
	fclose(f);
	block(&s, 0, key, out);
	*n = 16;
	sm4 *k = malloc(sizeof *k);
	expand(k, key);
	*handle = k;
	return 0;
}

int SDF_ImportKeyWithKEK(void *session, unsigned int alg, unsigned int index, unsigned char *in, unsigned int n, void **handle) {
	sm4 s;
	int rv = kek(index, &s);
	if (rv) return rv;
	if (alg != SGD_SM4_ECB) return SDR_ALGNOTSUPPORT;
	if (n != 16) return SDR_ENCDATAERR;
	uint8_t key[16];
	block(&s, 1, in, key);
	sm4 *k = malloc(sizeof *k);
	expand(k, key);
	*handle = k;
	return 0;
}

int SDF_DestroyKey(void *session, void *handle) {
	free(handle);
	return 0;
}

static int cbc(int decrypt, sm4 *k, unsigned alg, uint8_t *iv, const uint8_t *in, unsigned n, uint8_t *out, unsigned *size) {
	if (alg != SGD_SM4_CBC) return SDR_ALGNOTSUPPORT;
	if (n % 16) return SDR_ENCDATAERR;
	if (*size < n) return SDR_NOBUFFER;
	for (unsigned i = 0; i < n; i += 16) {
		uint8_t x[16];
		if (decrypt) {
			block(k, 1, in + i, x);
			for (int j = 0; j < 16; j++) out[i + j] = x[j] ^ iv[j];
			memcpy(iv, in + i, 16);
		} else {
			for (int j = 0; j < 16; j++) x[j] = in[i + j] ^ iv[j];
			block(k, 0, x, out + i);
			memcpy(iv, out + i, 16);
		}
	}
	*size = n;
	return 0;
}

int SDF_Encrypt(void *session, void *k, unsigned int alg, unsigned char *iv, unsigned char *in, unsigned int n, unsigned char *out, unsigned int *size) {
	return cbc(0, k, alg, iv, in, n, out, size);
}

int SDF_Decrypt(void *session, void *k, unsigned int alg, unsigned char *iv, unsigned char *in, unsigned int n, unsigned char *out, unsigned int *size) {
	return cbc(1, k, alg, iv, in, n, out, size);
}
