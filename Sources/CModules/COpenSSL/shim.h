// OpenSSL, with its macros wrapped as functions. Header shims and macro wrappers only; no logic.
#pragma once
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/opensslv.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static const uint64_t edge_SSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t edge_SSL_OP_NO_TICKET = SSL_OP_NO_TICKET;
static const uint64_t edge_SSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t edge_SSL_OP_NO_QUERY_MTU = SSL_OP_NO_QUERY_MTU;
static const uint64_t edge_SSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t edge_SSL_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF;

static inline int edge_SSL_CTX_set_min_proto_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_min_proto_version(c, v); }
static inline int edge_SSL_CTX_set_max_proto_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_max_proto_version(c, v); }
static inline long edge_SSL_CTX_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long edge_SSL_CTX_set_session_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline int edge_SSL_CTX_set1_groups_list(SSL_CTX *c, const char *l) { return (int)SSL_CTX_set1_groups_list(c, l); }
static inline int edge_SSL_CTX_add1_chain_cert(SSL_CTX *c, X509 *x) { return (int)SSL_CTX_add1_chain_cert(c, x); }
static inline int edge_SSL_CTX_set_max_send_fragment(SSL_CTX *c, long n) { return (int)SSL_CTX_set_max_send_fragment(c, n); }
static inline int edge_SSL_set_tlsext_host_name(SSL *s, const char *n) { return (int)SSL_set_tlsext_host_name(s, n); }
static inline long edge_SSL_set_mtu(SSL *s, long m) { return SSL_set_mtu(s, m); }
static inline int edge_DTLSv1_get_timeout(SSL *s, struct timeval *t) { return (int)DTLSv1_get_timeout(s, t); }
static inline int edge_DTLSv1_handle_timeout(SSL *s) { return (int)DTLSv1_handle_timeout(s); }
static inline EVP_PKEY *edge_EVP_EC_gen_p256(void) { return EVP_EC_gen("P-256"); }
static inline long edge_BIO_get_mem_data(BIO *b, char **p) { return BIO_get_mem_data(b, p); }
static inline void edge_X509V3_set_ctx(X509V3_CTX *c, X509 *issuer, X509 *subject) {
  X509V3_set_ctx_nodb(c);
  X509V3_set_ctx(c, issuer, subject, NULL, NULL, 0);
}
static inline int edge_ERR_GET_LIB(unsigned long e) { return ERR_GET_LIB(e); }
static inline int edge_ERR_GET_REASON(unsigned long e) { return ERR_GET_REASON(e); }

// Without a password callback OpenSSL would ask for a password on the terminal.
static inline int edge_no_password(char *b, int n, int w, void *u) { return -1; }
static inline X509 *edge_PEM_read_bio_X509(BIO *b) { return PEM_read_bio_X509(b, NULL, edge_no_password, NULL); }
static inline EVP_PKEY *edge_PEM_read_bio_PrivateKey(BIO *b) { return PEM_read_bio_PrivateKey(b, NULL, edge_no_password, NULL); }
