/*
 * What of OpenSSL 3.0 goes into the firmware.
 *
 * OpenSSL reaches every algorithm it has through four tables, so a static program holds all of
 * them: Camellia, ARIA, DSA, scrypt, the encoders of each, 0.5 MB in all. This file defines the
 * four symbols that hold the tables, with what TLS 1.2 and 1.3, DTLS 1.2, certificates (EC, RSA,
 * Ed25519) and digest authentication use; the linker then leaves the archive members with the
 * full tables, and all that only they name, out. A cipher suite whose parts are missing is
 * dropped by libssl itself. If Debian's OpenSSL ever lacks one of these names, the link fails.
 */

#include <openssl/bio.h>
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* Internal to libcrypto, shared by its providers: include/prov/provider_ctx.h, bio.h, seeding.h, implementations.h. */
typedef struct prov_ctx_st PROV_CTX;
PROV_CTX *ossl_prov_ctx_new(void);
void ossl_prov_ctx_free(PROV_CTX *);
void ossl_prov_ctx_set0_libctx(PROV_CTX *, OSSL_LIB_CTX *);
void ossl_prov_ctx_set0_handle(PROV_CTX *, const OSSL_CORE_HANDLE *);
void ossl_prov_ctx_set0_core_bio_method(PROV_CTX *, BIO_METHOD *);
BIO_METHOD *ossl_prov_ctx_get0_core_bio_method(PROV_CTX *);
BIO_METHOD *ossl_bio_prov_init_bio_method(void);
int ossl_prov_bio_from_dispatch(const OSSL_DISPATCH *);
int ossl_prov_seeding_from_dispatch(const OSSL_DISPATCH *);
int ossl_prov_get_capabilities(void *, const char *, OSSL_CALLBACK *, void *);
int ossl_prov_is_running(void);

#define EACH_DIGEST(X) \
  X(ossl_sha1_functions, "SHA1:SHA-1:SSL3-SHA1:1.3.14.3.2.26") \
  X(ossl_sha224_functions, "SHA2-224:SHA-224:SHA224:2.16.840.1.101.3.4.2.4") \
  X(ossl_sha256_functions, "SHA2-256:SHA-256:SHA256:2.16.840.1.101.3.4.2.1") \
  X(ossl_sha384_functions, "SHA2-384:SHA-384:SHA384:2.16.840.1.101.3.4.2.2") \
  X(ossl_sha512_functions, "SHA2-512:SHA-512:SHA512:2.16.840.1.101.3.4.2.3") \
  X(ossl_md5_functions, "MD5:SSL3-MD5:1.2.840.113549.2.5")

#define EACH_CIPHER(X) \
  X(ossl_null_functions, "NULL") \
  X(ossl_aes256ecb_functions, "AES-256-ECB:2.16.840.1.101.3.4.1.41") \
  X(ossl_aes128ecb_functions, "AES-128-ECB:2.16.840.1.101.3.4.1.1") \
  X(ossl_aes256cbc_functions, "AES-256-CBC:AES256:2.16.840.1.101.3.4.1.42") \
  X(ossl_aes128cbc_functions, "AES-128-CBC:AES128:2.16.840.1.101.3.4.1.2") \
  X(ossl_aes256ctr_functions, "AES-256-CTR") \
  X(ossl_aes128ctr_functions, "AES-128-CTR") \
  X(ossl_aes256gcm_functions, "AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46") \
  X(ossl_aes128gcm_functions, "AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6") \
  X(ossl_chacha20_ossl_poly1305_functions, "ChaCha20-Poly1305") \
  X(ossl_chacha20_functions, "ChaCha20")

#define EACH_MAC(X) X(ossl_hmac_functions, "HMAC")

#define EACH_KDF(X) \
  X(ossl_kdf_hkdf_functions, "HKDF") \
  X(ossl_kdf_tls1_3_kdf_functions, "TLS13-KDF") \
  X(ossl_kdf_tls1_prf_functions, "TLS1-PRF")

#define EACH_RANDOM(X) \
  X(ossl_drbg_ctr_functions, "CTR-DRBG") \
  X(ossl_seed_src_functions, "SEED-SRC")

#define EACH_KEY(X) \
  X(ossl_rsa_keymgmt_functions, RSA_NAMES) \
  X(ossl_rsapss_keymgmt_functions, PSS_NAMES) \
  X(ossl_ec_keymgmt_functions, EC_NAMES) \
  X(ossl_x25519_keymgmt_functions, X25519_NAMES) \
  X(ossl_ed25519_keymgmt_functions, ED25519_NAMES) \
  X(ossl_mac_legacy_keymgmt_functions, "HMAC")

#define EACH_EXCHANGE(X) \
  X(ossl_ecdh_keyexch_functions, "ECDH") \
  X(ossl_x25519_keyexch_functions, X25519_NAMES)

#define EACH_SIGNATURE(X) \
  X(ossl_rsa_signature_functions, RSA_NAMES) \
  X(ossl_ed25519_signature_functions, ED25519_NAMES) \
  X(ossl_ecdsa_signature_functions, "ECDSA") \
  X(ossl_mac_legacy_hmac_signature_functions, "HMAC")

#define RSA_NAMES "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define PSS_NAMES "RSA-PSS:RSASSA-PSS:rsassaPss:1.2.840.113549.1.1.10"
#define EC_NAMES "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define ED25519_NAMES "ED25519:1.3.101.112"
#define X25519_NAMES "X25519:1.3.101.110"

#define FROM_DER(structure) "provider=default,fips=yes,input=der,structure=" structure
#define TO(form, structure) "provider=default,fips=yes,output=" form ",structure=" structure

/* Keys and certificates read from files and from peers. */
#define EACH_DECODER(X) \
  X(ossl_PrivateKeyInfo_der_to_rsa_decoder_functions, RSA_NAMES, FROM_DER("PrivateKeyInfo")) \
  X(ossl_SubjectPublicKeyInfo_der_to_rsa_decoder_functions, RSA_NAMES, FROM_DER("SubjectPublicKeyInfo")) \
  X(ossl_type_specific_keypair_der_to_rsa_decoder_functions, RSA_NAMES, FROM_DER("type-specific")) \
  X(ossl_SubjectPublicKeyInfo_der_to_rsapss_decoder_functions, PSS_NAMES, FROM_DER("SubjectPublicKeyInfo")) \
  X(ossl_PrivateKeyInfo_der_to_ec_decoder_functions, EC_NAMES, FROM_DER("PrivateKeyInfo")) \
  X(ossl_SubjectPublicKeyInfo_der_to_ec_decoder_functions, EC_NAMES, FROM_DER("SubjectPublicKeyInfo")) \
  X(ossl_type_specific_no_pub_der_to_ec_decoder_functions, EC_NAMES, FROM_DER("type-specific")) \
  X(ossl_PrivateKeyInfo_der_to_ed25519_decoder_functions, ED25519_NAMES, FROM_DER("PrivateKeyInfo")) \
  X(ossl_SubjectPublicKeyInfo_der_to_ed25519_decoder_functions, ED25519_NAMES, FROM_DER("SubjectPublicKeyInfo")) \
  X(ossl_SubjectPublicKeyInfo_der_to_x25519_decoder_functions, X25519_NAMES, FROM_DER("SubjectPublicKeyInfo")) \
  X(ossl_SubjectPublicKeyInfo_der_to_der_decoder_functions, "DER", FROM_DER("SubjectPublicKeyInfo")) \
  X(ossl_pem_to_der_decoder_functions, "DER", "provider=default,fips=yes,input=pem")

/* Keys written: this device's own, which is EC, and the public half in its certificate. */
#define EACH_ENCODER(X) \
  X(ossl_ec_to_PrivateKeyInfo_der_encoder_functions, EC_NAMES, TO("der", "PrivateKeyInfo")) \
  X(ossl_ec_to_PrivateKeyInfo_pem_encoder_functions, EC_NAMES, TO("pem", "PrivateKeyInfo")) \
  X(ossl_ec_to_SubjectPublicKeyInfo_der_encoder_functions, EC_NAMES, TO("der", "SubjectPublicKeyInfo"))

#define DECLARE(functions, ...) extern const OSSL_DISPATCH functions[];
EACH_DIGEST(DECLARE) EACH_CIPHER(DECLARE) EACH_MAC(DECLARE) EACH_KDF(DECLARE) EACH_RANDOM(DECLARE)
EACH_KEY(DECLARE) EACH_EXCHANGE(DECLARE) EACH_SIGNATURE(DECLARE) EACH_DECODER(DECLARE) EACH_ENCODER(DECLARE)

#define ENTRY(functions, names) {names, "provider=default", functions, NULL},
#define CODER(functions, names, properties) {names, properties, functions, NULL},
#define END {NULL, NULL, NULL, NULL}

static const OSSL_ALGORITHM digests[] = {EACH_DIGEST(ENTRY) END};
static const OSSL_ALGORITHM ciphers[] = {EACH_CIPHER(ENTRY) END};
static const OSSL_ALGORITHM macs[] = {EACH_MAC(ENTRY) END};
static const OSSL_ALGORITHM kdfs[] = {EACH_KDF(ENTRY) END};
static const OSSL_ALGORITHM randoms[] = {EACH_RANDOM(ENTRY) END};
static const OSSL_ALGORITHM keys[] = {EACH_KEY(ENTRY) END};
static const OSSL_ALGORITHM exchanges[] = {EACH_EXCHANGE(ENTRY) END};
static const OSSL_ALGORITHM signatures[] = {EACH_SIGNATURE(ENTRY) END};
static const OSSL_ALGORITHM decoders[] = {EACH_DECODER(CODER) END};
static const OSSL_ALGORITHM encoders[] = {EACH_ENCODER(CODER) END};

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache) {
  (void)context;
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_DIGEST: return digests;
    case OSSL_OP_CIPHER: return ciphers;
    case OSSL_OP_MAC: return macs;
    case OSSL_OP_KDF: return kdfs;
    case OSSL_OP_RAND: return randoms;
    case OSSL_OP_KEYMGMT: return keys;
    case OSSL_OP_KEYEXCH: return exchanges;
    case OSSL_OP_SIGNATURE: return signatures;
    case OSSL_OP_DECODER: return decoders;
    case OSSL_OP_ENCODER: return encoders;
    default: return NULL;
  }
}

static void teardown(void *context) {
  BIO_meth_free(ossl_prov_ctx_get0_core_bio_method(context));
  ossl_prov_ctx_free(context);
}

static const OSSL_PARAM known_parameters[] = {
    OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0), OSSL_PARAM_END};

static const OSSL_PARAM *gettable_parameters(void *context) {
  (void)context;
  return known_parameters;
}

static int get_parameters(void *context, OSSL_PARAM parameters[]) {
  (void)context;
  OSSL_PARAM *status = OSSL_PARAM_locate(parameters, OSSL_PROV_PARAM_STATUS);
  return status == NULL || OSSL_PARAM_set_int(status, ossl_prov_is_running());
}

static const OSSL_DISPATCH provider[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_parameters},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_parameters},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))ossl_prov_get_capabilities},
    {0, NULL}};

/* In place of providers/defltprov.c. */
int ossl_default_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                               void **context) {
  OSSL_FUNC_core_get_libctx_fn *library_context = NULL;
  if (!ossl_prov_bio_from_dispatch(in) || !ossl_prov_seeding_from_dispatch(in)) return 0;
  for (; in->function_id != 0; in++) {
    if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX) library_context = OSSL_FUNC_core_get_libctx(in);
  }
  if (library_context == NULL || (*context = ossl_prov_ctx_new()) == NULL) return 0;
  BIO_METHOD *core_bio = ossl_bio_prov_init_bio_method();
  if (core_bio == NULL) {
    ossl_prov_ctx_free(*context);
    *context = NULL;
    return 0;
  }
  ossl_prov_ctx_set0_libctx(*context, (OSSL_LIB_CTX *)library_context(handle));
  ossl_prov_ctx_set0_handle(*context, handle);
  ossl_prov_ctx_set0_core_bio_method(*context, core_bio);
  *out = provider;
  return 1;
}

/* In place of providers/baseprov.c: the default provider has what is needed of it. */
int ossl_base_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                            void **context) {
  (void)handle, (void)in, (void)out, (void)context;
  return 0;
}

/* In place of crypto/evp/c_allc.c and c_alld.c: names for EVP_get_cipherbyname, EVP_get_digestbyname. */
void openssl_add_all_ciphers_int(void) {
  EVP_add_cipher(EVP_aes_128_gcm());
  EVP_add_cipher(EVP_aes_256_gcm());
  EVP_add_cipher(EVP_chacha20_poly1305());
}

void openssl_add_all_digests_int(void) {
  EVP_add_digest(EVP_md5());
  EVP_add_digest(EVP_sha1());
  EVP_add_digest(EVP_sha256());
  EVP_add_digest(EVP_sha384());
  EVP_add_digest(EVP_sha512());
}

/* In place of crypto/err/err_all.c: texts of the errors a connection, a certificate or a key can end with. */
#define EACH_ERROR_TABLE(X) \
  X(BIO) X(BN) X(CRYPTO) X(EC) X(EVP) X(ASN1) X(PEM) X(RSA) X(X509) X(X509V3) X(PROV) X(RAND)
#define DECLARE_ERRORS(library) int ossl_err_load_##library##_strings(void);
EACH_ERROR_TABLE(DECLARE_ERRORS)

int ossl_err_load_crypto_strings(void) {
#define LOAD_ERRORS(library) &&ossl_err_load_##library##_strings()
  return 1 EACH_ERROR_TABLE(LOAD_ERRORS);
}

/*
 * Curves and keys no certificate or handshake here needs at its own special speed, or at all. P-224 and P-521, and
 * P-256 where its assembly does not run, work as any other prime curve; binary curves and 448-bit keys are refused.
 */
const EC_METHOD *EC_GFp_nistp224_method(void) { return EC_GFp_mont_method(); }
const EC_METHOD *EC_GFp_nistp256_method(void) { return EC_GFp_mont_method(); }
const EC_METHOD *EC_GFp_nistp521_method(void) { return EC_GFp_mont_method(); }
#define WITHOUT_TABLES(curve) \
  void EC_##curve##_pre_comp_free(void *table) { (void)table; } \
  void *EC_##curve##_pre_comp_dup(void *table) { return table; }
WITHOUT_TABLES(nistp224)
WITHOUT_TABLES(nistp256)
WITHOUT_TABLES(nistp521)
const EC_METHOD *EC_GF2m_simple_method(void) { return NULL; }
int ossl_x448(uint8_t out[56], const uint8_t own[56], const uint8_t peer[56]) {
  (void)out, (void)own, (void)peer;
  return 0;
}
void ossl_x448_public_from_private(uint8_t out[56], const uint8_t own[56]) { (void)out, (void)own; }
int ossl_ed448_public_from_private(OSSL_LIB_CTX *library, uint8_t out[57], const uint8_t own[57], const char *query) {
  (void)library, (void)out, (void)own, (void)query;
  return 0;
}
int ossl_ed448_sign(OSSL_LIB_CTX *library, uint8_t *out, const uint8_t *message, size_t length, const uint8_t key[57],
                    const uint8_t own[57], const uint8_t *context, size_t context_length, const char *query) {
  (void)library, (void)out, (void)message, (void)length, (void)key, (void)own, (void)context, (void)context_length;
  (void)query;
  return 0;
}
int ossl_ed448_verify(OSSL_LIB_CTX *library, const uint8_t *message, size_t length, const uint8_t signature[114],
                      const uint8_t key[57], const uint8_t *context, size_t context_length, const char *query) {
  (void)library, (void)message, (void)length, (void)signature, (void)key, (void)context, (void)context_length;
  (void)query;
  return 0;
}

/* Hardware engines of other times. */
void engine_load_openssl_int(void) {}
void engine_load_dynamic_int(void) {}
void engine_load_padlock_int(void) {}
void engine_load_afalg_int(void) {}
void engine_load_rdrand_int(void) {}
