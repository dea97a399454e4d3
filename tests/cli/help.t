# Versions, help and mistakes on the command line.
$ onnxplain --version
onnxplain 0.1.0
oneDNN *
...
$ onnxplain
! onnxplain explains an ONNX model's prediction: *
! ...
? 2
$ onnxplain explain --help | head -1
usage: onnxplain explain MODEL INPUT... [options]
$ for c in predict explain compare inspect methods; do onnxplain $c --help | grep -c '^examples\?:'; done
1
1
1
1
1
$ onnxplain explian model.onnx x.npy
! onnxplain: there is no command 'explian'; did you mean 'explain'; see onnxplain --help
? 2
$ onnxplain explain model.onnx x.npy --methd saliency
! onnxplain: explain has no option '--methd'; did you mean '--method'; see onnxplain explain --help
? 2
$ onnxplain explain model.onnx x.npy --method gradcam
! onnxplain: there is no method 'gradcam'; did you mean 'grad-cam'; see onnxplain methods
? 2
$ onnxplain explain model.onnx x.npy --max-memory much
! onnxplain: --max-memory expects bytes like 500M or 2G, found 'much'
? 2
$ onnxplain explain model.onnx x.npy --threads -1
! onnxplain: --threads needs a value; see onnxplain explain --help
? 2
$ onnxplain explain model.onnx x.npy --format pdf
! onnxplain: --format takes png, json, npy and ansi, found 'pdf'
? 2
$ onnxplain methods occlude
! onnxplain: there is no method 'occlude'*; see onnxplain methods
? 2
$ onnxplain methods grad-cam | head -1
grad-cam - Grad-CAM
$ onnxplain methods | awk '/^[A-Z]/ { f = $0 } $1 == "saliency" || $1 == "grad-cam" || $1 == "lrp" { print f ": " $1 }'
Gradients: saliency
Class activation maps: grad-cam
Relevance propagation: lrp
$ onnxplain methods is-cam | grep -e equals -e cost
  equals    no other software that we know of
  cost      *
# The page of methods links to headings as GitHub names them, also where two names come to the same.
$ onnxplain methods --markdown | grep -o '\[`[a-z-]*+*`](#grad-cam[-0-9]*)'
[`grad-cam`](#grad-cam)
[`grad-cam++`](#grad-cam-1)
$ onnxplain methods lrp --markdown
! onnxplain: --markdown prints all methods: it takes no NAME
? 2
