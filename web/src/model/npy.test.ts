import { expect, test } from "vitest";

import { base64OfBytes, bytesOfBase64, readNpy } from "./npy";

// Written by numpy.save of [[[1, 2], [3, 300]]] as uint16, and of [[[4], [15]], [[0], [9]]] as uint8.
const header = (type: string, shape: string) => {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117) + "\n";
  return [0x93, ...[..."NUMPY"].map((c) => c.charCodeAt(0)), 1, 0, text.length, 0, ...[...text].map((c) => c.charCodeAt(0))];
};
const npy = (type: string, shape: string, body: number[]) => base64OfBytes(Uint8Array.from([...header(type, shape), ...body]));

test("arrays of both kinds are read", () => {
  const wide = readNpy(npy("<u2", "(1, 2, 2)", [1, 0, 2, 0, 3, 0, 44, 1]));
  expect(wide.shape).toEqual([1, 2, 2]);
  expect([...wide.data]).toEqual([1, 2, 3, 300]);
  const narrow = readNpy(npy("|u1", "(2, 2, 1)", [4, 15, 0, 9]));
  expect([...narrow.data]).toEqual([4, 15, 0, 9]);
});

test("one that the server sent is read", () => {
  const sent = "k05VTVBZAQB2AHsnZGVzY3InOiAnfHUxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDYsIDQpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAwYOAAcJDgQGCw4BBAoMAQYODwEDBg8=";
  const { shape, data } = readNpy(sent);
  expect(shape).toEqual([1, 6, 4]);
  expect([...data.slice(0, 4)]).toEqual([1, 3, 6, 14]);
});

test("other things are refused", () => {
  expect(() => readNpy(btoa("something else"))).toThrow("not a .npy");
  expect(() => readNpy(npy("<f4", "(1,)", [0, 0, 0, 0]))).toThrow("another kind");
  expect(() => readNpy(npy("|u1", "(2, 3)", [1, 2]))).toThrow("2 numbers instead of 6");
});

test("base64 of many bytes comes back", () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i * 7);
  expect(bytesOfBase64(base64OfBytes(bytes))).toEqual(bytes);
});
