// Reads the .npy arrays that the server sends as base64 (format 1.0, C order, uint8 or uint16).
export interface NpyArray {
  shape: number[];
  data: Uint8Array | Uint16Array;
}

export function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

export function base64OfBytes(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
}

// Throws Error when the text is no such array.
export function readNpy(base64: string): NpyArray {
  const bytes = bytesOfBase64(base64);
  if (String.fromCharCode(...bytes.subarray(1, 6)) !== "NUMPY" || bytes[6] !== 1) {
    throw new Error("not a .npy array of format 1.0");
  }
  const begin = 10 + bytes[8] + 256 * bytes[9];
  const header = String.fromCharCode(...bytes.subarray(10, begin));
  const type = /'descr': '[|<](u[12])'/.exec(header)?.[1];
  const shape = /'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (!type || shape === undefined || !header.includes("'fortran_order': False")) {
    throw new Error(`a .npy array of another kind: ${header.trim()}`);
  }
  const dimensions = shape.split(",").map((n) => n.trim()).filter(Boolean).map(Number);
  const size = dimensions.reduce((a, b) => a * b, 1);
  const body = bytes.slice(begin);
  const data = type === "u1" ? body : new Uint16Array(body.buffer, 0, body.length >> 1);
  if (data.length !== size) throw new Error(`a .npy array of ${data.length} numbers instead of ${size}`);
  return { shape: dimensions, data };
}
