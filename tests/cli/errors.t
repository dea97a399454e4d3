# What cannot be done is said in one line, naming the thing; nothing is written then.
$ cp $S/tests/data/toy/oracle_conv.onnx m.onnx; cp $S/tests/data/toy/oracle_conv.io/input__x.npy x.npy
$ onnxplain explain missing.onnx x.npy
! onnxplain: cannot open 'missing.onnx': no such file or directory
? 1
$ onnxplain explain m.onnx missing.npy
! onnxplain: cannot open 'missing.npy': no such file or directory
? 1
$ head -c 300 m.onnx >cut.onnx; onnxplain explain cut.onnx x.npy
! onnxplain: cut.onnx: not a sound ONNX file: *
? 1
$ onnxplain predict x.npy x.npy
! onnxplain: x.npy: not a sound ONNX file: *
? 1
$ head -c 5000 $S/photos/chelsea.png >cut.png; onnxplain explain m.onnx cut.png
! onnxplain: cut.png: PNG is truncated: its data ends early (5000 bytes)
? 1
$ echo hello >text.jpg; onnxplain explain m.onnx text.jpg
! onnxplain: text.jpg: *
? 1
$ onnxplain explain m.onnx x.npy --quiet --target tabby
! onnxplain: class 'tabby': the model's class names are not known, give a number or a labels file
? 2
$ printf 'tabby\ntiger cat\nlynx\ncup\n' >names.txt; onnxplain explain m.onnx x.npy --quiet --labels names.txt --target tabbi
! onnxplain: no class is called 'tabbi': did you mean 'tabby'?
? 2
$ onnxplain explain m.onnx x.npy --quiet --target 4
! onnxplain: there is no class 4: the model has classes 0 to 3
? 1
$ onnxplain explain $S/models/efficientnet-lite0.onnx x.npy --quiet
! onnxplain: input 'images' expects shape (?,3,224,224), found (1,1,4,4)
? 2
$ onnxplain explain m.onnx x.npy --quiet --layer conv9
! onnxplain: the model has no tensor 'conv9': did you mean 'conv1'?
? 2
$ onnxplain explain m.onnx x.npy --quiet --method saliency --layer conv1
! onnxplain: saliency does not use a layer: to attribute to an inner tensor use wrt
? 2
$ onnxplain explain m.onnx x.npy --quiet --target 'out[0,9]'
! onnxplain: 'out[0,9]' is outside the tensor: an item has shape (4)
? 2
$ onnxplain explain m.onnx x.npy --quiet --target 'out[1,0]'
! onnxplain: the first index of 'out[1,0]' is the batch: write 0, it means every item
? 2
$ onnxplain explain m.onnx x.npy --quiet --target 'sum:oot'
! onnxplain: the model has no tensor 'oot': did you mean 'out'?
? 2
$ onnxplain explain m.onnx x.npy --quiet --set channel=max --method saliency
! onnxplain: saliency has no parameter 'channel'; did you mean 'channels'; see 'onnxplain methods saliency'
? 2
$ onnxplain explain m.onnx x.npy --quiet --set steps=0 --method integrated-gradients
! onnxplain: integrated-gradients: steps must be a whole number from *, found '0'
? 2
$ onnxplain explain m.onnx x.npy --quiet --out /dev/null/maps
! onnxplain: cannot make the folder '/dev/null/maps': Not a directory
? 1
$ onnxplain explain m.onnx x.npy --quiet --out nowhere/map.png
! onnxplain: cannot write 'nowhere/map.png': no such file or directory
? 1
$ onnxplain explain m.onnx x.npy --quiet --out /dev/full --format npy
! onnxplain: cannot *
? 1
$ onnxplain explain m.onnx x.npy x.npy --quiet --out one.png
! onnxplain: --out names one file, but there are several inputs, methods or targets: name a folder
? 2
$ onnxplain explain m.onnx x.npy --quiet --max-memory 100
! onnxplain: *
? 1
$ onnxplain explain m.onnx x.npy --quiet --shape y=1,1,4,4
! onnxplain: the model has no input 'y'*
? 2
$ onnxplain explain $S/tests/data/toy/oracle_conv_two_inputs.onnx x.npy --quiet
! onnxplain: the model has 2 inputs, found 1 file: give one file per input, as name=file or in order
? 2
$ onnxplain explain m.onnx x.npy --quiet --method integrated-gradients --set baseline=gray
! onnxplain: integrated-gradients: baseline must be *, found 'gray'
? 1
$ onnxplain explain m.onnx x.npy --quiet --method integrated-gradients --set baseline=missing.npy
! onnxplain: cannot open 'missing.npy': no such file or directory
? 1
$ onnxplain explain m.onnx x.npy --quiet --method deeplift --set baseline=black
! onnxplain: the input is an array, taken as it is: what is black or white in it is not known; give numbers per channel or an array
? 1
$ onnxplain explain m.onnx x.npy --quiet --method gradient-shap --wrt relu1 --set baseline=x.npy
! onnxplain: gradient-shap: the baseline for 'relu1' has shape (1,1,4,4), expected (2,2,2)
? 1
$ onnxplain explain m.onnx x.npy --quiet --method expected-gradients --set baseline=zero,x.npy
! onnxplain: expected-gradients: baseline is one kind, or arrays only: 'zero' cannot stand beside arrays
? 1
# An earlier result stays as it was when a later run fails.
$ echo kept >map.npy; onnxplain explain m.onnx x.npy --quiet --target 9 --out map.npy; cat map.npy
kept
! onnxplain: there is no class 9: the model has classes 0 to 3
$ ls
bin
cut.onnx
cut.png
m.onnx
map.npy
names.txt
text.jpg
x.npy
# A model that is not supported is described all the same; what is no model is not.
$ onnxplain inspect $S/tests/data/hostile/unknown_domain.onnx
file         */unknown_domain.onnx
producer     onnxplain-toys
opset        13 (IR version 7)
input        x float32 (1,2,4,4)
output       y float32 (1,2)
supported    no, for 1 reason
             com.example::Relu at 'Relu_relu'
$ onnxplain inspect $S/tests/data/hostile/opset_999.onnx | tail -2
supported    no, for 1 reason
             the model uses opset 999 of ONNX; *
$ echo no model > no.onnx; onnxplain inspect no.onnx
! onnxplain: no.onnx: *
? 1
