import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import forge from "node-forge";
import type { Scope } from "./database.ts";

/** Files in PEM: an authority of the test's own, and what it issued to the server of 127.0.0.1. */
export interface Certificates {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

const day = 24 * 60 * 60 * 1000;

/** Makes them in a folder that goes with the scope. */
export function makeCertificates(scope: Scope): Certificates {
  const folder = mkdtempSync(join(tmpdir(), "tasker-tls-"));
  scope.after(async () => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const [authority, server] = [newKeys(), newKeys()];
  const issue = (serial: string, subject: string, keys: forge.pki.rsa.PublicKey, extensions: object[]): string => {
    const certificate = forge.pki.createCertificate();
    certificate.publicKey = keys;
    certificate.serialNumber = serial;
    // A clock that is a little behind must not find it not valid yet.
    certificate.validity.notBefore = new Date(Date.now() - day);
    certificate.validity.notAfter = new Date(Date.now() + day);
    certificate.setSubject([{ name: "commonName", value: subject }]);
    certificate.setIssuer([{ name: "commonName", value: "test authority" }]);
    certificate.setExtensions(extensions);
    certificate.sign(authority.privateKey, forge.md.sha256.create());
    return forge.pki.certificateToPem(certificate);
  };
  const ofAuthority = [
    { name: "basicConstraints", cA: true },
    { name: "keyUsage", keyCertSign: true },
  ];
  const ofServer = [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }];
  return {
    authority: write("authority.pem", issue("01", "test authority", authority.publicKey, ofAuthority)),
    certificate: write("certificate.pem", issue("02", "redis", server.publicKey, ofServer)),
    key: write("key.pem", forge.pki.privateKeyToPem(server.privateKey)),
  };
}

function newKeys(): forge.pki.rsa.KeyPair {
  // Made by Node, which is a hundred times faster at it.
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = forge.pki.privateKeyFromPem(String(privateKey.export({ type: "pkcs1", format: "pem" })));
  return { privateKey: key, publicKey: forge.pki.setRsaPublicKey(key.n, key.e) };
}
